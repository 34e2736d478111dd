"""Checkpoints of a run: folders `step-N`, complete by rename. The newest two stay."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import NagiError
from .job import Job, write_json

STATE = "nagi_state.json"
KEPT = 2


def _steps(folder: Path) -> list[tuple[int, Path]]:
    found = [(re.fullmatch(r"step-(\d+)", path.name), path) for path in folder.glob("step-*")]
    return sorted((int(match[1]), path) for match, path in found if match)


def newest(job: Job) -> Path | None:
    """The newest complete checkpoint."""
    steps = _steps(job.folder / "checkpoints")
    return steps[-1][1] if steps else None


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def publish(job: Job, partial: Path, step: int, state: dict[str, Any]) -> int:
    """Adds the state to a folder, gives it its name, drops older ones. Returns its bytes."""
    write_json(partial / STATE, {**_identity(job), **state})
    target = job.folder / "checkpoints" / f"step-{step}"
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)
    for _, old in _steps(target.parent)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return size(target)


def save(job: Job, step: int, write: Callable[[Path], None], state: dict[str, Any]) -> int:
    """A checkpoint whose files `write` puts into a folder. Returns its bytes."""
    partial = job.folder / "checkpoints" / f".step-{step}.tmp"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    return publish(job, partial, step, state)


def load_state(job: Job, checkpoint: Path) -> dict[str, Any]:
    """The state beside the tensors. Raises storage.corrupt; config.invalid where it belongs to another run."""
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        details = {"file": str(checkpoint.name), "reason": str(error)}
        message = f"The checkpoint {checkpoint.name} cannot be used: {error}. Start the run again."
        raise NagiError("storage.corrupt", message, details) from error
    for path, present in _identity(job).items():
        if state.get(path) != present:
            problem = f"was {json.dumps(state.get(path))} when the checkpoint was made and is {json.dumps(present)} now"
            details = {"file": "checkpoint", "path": path, "problem": problem, "allowed": json.dumps(state.get(path))}
            message = f"The checkpoint belongs to another run: {path} {problem}. Resume with the same settings, or start anew."
            raise NagiError("config.invalid", message, details)
    return state


def _identity(job: Job) -> dict[str, Any]:
    return {"seed": job.seed, "stage": job.stage, "num_processes": job.launch["num_processes"]}
