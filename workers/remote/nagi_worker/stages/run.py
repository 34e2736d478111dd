"""Runs the stage of a folder: its events, its exit code, its error."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import set_seed

from ..errors import NagiError, disk_full, is_disk_full, to_error_data
from .control import Control
from .events import EventWriter
from .job import FAILED, Job
from .launchers import EXIT_CODE, LAUNCHED
from .trackers import open_trackers
from .training import Context

LOG = logging.getLogger("nagi.stages")

#: module and function of each stage; loaded when it is run, so that merging needs no trl
STAGES = {
    "sft": ("sft", "run_sft"),
    "reward": ("reward", "run_reward"),
    "merge": ("merge", "run_merge"),
    "ppo": ("ppo", "run_ppo"),
    "dpo": ("dpo", "run_dpo"),
    "evaluate": ("evaluate", "run_evaluate"),
}


def main(folder: Path) -> int:
    """Returns the exit code of job.py; a failure leaves error.json."""
    folder = folder.resolve()
    if LAUNCHED not in os.environ:
        (folder / "error.json").unlink(missing_ok=True)
    try:
        job = Job.read(folder)
        state = PartialState(cpu=not torch.cuda.is_available())
        check_world(job, state.num_processes)
        # Before a model or an adapter is built: what they draw must not differ from run to run, or rank to rank.
        set_seed(job.seed)
        trackers = open_trackers(job, folder / "trackers") if state.is_main_process else []
        events = EventWriter(folder / "events.jsonl", state.is_main_process, trackers)
        context = Context(job, events, Control(folder / "control"), time.monotonic())
        (folder / "checkpoints").mkdir(exist_ok=True)
        code = stage_of(job)(context)
        events.close()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        return hand_code(folder, code, state.is_main_process)
    except Exception as error:
        # Whatever it was: the log has it whole, and the studio is told.
        LOG.exception("the stage failed")
        report(folder, error)
        return FAILED


def hand_code(folder: Path, code: int, main_process: bool) -> int:
    """Under a launcher a rank that did what it should exits with 0, and rank 0 leaves the stage's code."""
    if LAUNCHED not in os.environ:
        return code
    if main_process:
        (folder / EXIT_CODE).write_text(str(code), encoding="ascii")
    return 0


def stage_of(job: Job) -> Callable[[Context], int]:
    """The function of a stage; PPO may be another library's algorithm."""
    kind = job.stage["stage"]
    if kind == "ppo" and job.launch["algorithm"] == "rloo":
        return import_module(f"{__package__}.rloo").run_rloo
    module, function = STAGES[kind]
    return getattr(import_module(f"{__package__}.{module}"), function)


def check_world(job: Job, world: int) -> None:
    """That as many processes found each other as were started. (`accelerate launch --cpu` once made as many lonely ones.)"""
    wanted = job.launch["num_processes"]
    if world != wanted:
        message = f"{wanted} processes were asked for, but {world} found each other. Look at the log of the run."
        raise NagiError("internal", message, {"message": message})


def report(folder: Path, error: BaseException) -> None:
    """Writes error.json unless another rank was first."""
    data = json.dumps(as_nagi(error), ensure_ascii=False)
    partial = folder / f"error.{os.getpid()}.tmp"
    partial.write_text(data, encoding="utf-8")
    try:
        os.link(partial, folder / "error.json")
    except FileExistsError:
        print("another process has reported already:", data, file=sys.stderr)
    finally:
        partial.unlink()


def as_nagi(error: BaseException) -> dict[str, object]:
    """The error as the studio shows it."""
    if isinstance(error, torch.OutOfMemoryError):
        text = str(error)[:300]
        message = f"The worker's GPU memory is full: {text} Choose smaller batches, 8bit or 4bit, or more GPUs."
        return NagiError("gpu.out_of_memory", message, {"what": "the stage", "needed": text}).to_data()
    if is_disk_full(error):
        return disk_full("the stage's files", 0, None).to_data()
    return to_error_data(error)
