"""A stage as a process group of its own: started, found again after the service was killed, told, and ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from nagi_worker import jsontext
from nagi_worker.supervise import EXIT_FILE

RUN_DIR_VARIABLE = "NAGI_RUN_DIR"
EVENTS_FILE = "events.jsonl"
LOG_FILE = "log.txt"
CONTROL_FILE = "control"
ERROR_FILE = "error.json"
OUTPUT_FILE = "output.json"
OUTPUT_FOLDER = "output"
CHECKPOINT_FOLDER = "checkpoints"

# Exit codes of a stage.
FINISHED = 0
PAUSED = 10
STOPPED = 11
KILLED = -9

_CHECKPOINT = re.compile(r"step-(\d+)")
# As torchrun reports a rank that was killed.
_RANK_KILLED = re.compile(r"exitcode\s*:\s*-9\b|Signal 9 \(SIGKILL\)")
_LOG_TAIL = 16 << 10
_PACKAGE_ROOT = Path(__file__).resolve().parents[1]


def write_whole(path: Path, text: str) -> None:
    """A reader sees the old file or the new one."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@dataclass
class StageProcess:
    """The supervisor of a stage, whoever started it."""

    folder: Path
    process: psutil.Process | None
    """None: it had ended before it was found."""
    child: subprocess.Popen[bytes] | None

    def is_alive(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        if self.process is None:
            return False
        try:
            return bool(self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def exit_code(self) -> int:
        """After it has ended: the stage's code; -9 where the supervisor was killed with it."""
        try:
            return int(json.loads((self.folder / EXIT_FILE).read_text(encoding="ascii"))["code"])
        except FileNotFoundError:
            return KILLED


def start(folder: Path, command: list[str], devices: list[str]) -> StageProcess:
    """Starts a stage in its folder. @param devices GPU numbers; none: the CPU. Blocks shortly."""
    for name in (EXIT_FILE, ERROR_FILE, OUTPUT_FILE):
        (folder / name).unlink(missing_ok=True)
    environment = {
        **os.environ,
        RUN_DIR_VARIABLE: str(folder),
        # nvidia-smi counts by the bus, CUDA by speed unless told otherwise.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(devices),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }
    supervisor = [sys.executable, "-m", "nagi_worker.supervise", str(folder), *command]
    with (folder / LOG_FILE).open("ab") as log:
        child = subprocess.Popen(
            supervisor,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return StageProcess(folder, psutil.Process(child.pid), child)


def find(folder: Path) -> StageProcess | None:
    """The supervisor of this folder's stage that an earlier service has left running. Blocks."""
    for process in _processes(folder):
        try:
            if "nagi_worker.supervise" in process.cmdline():
                return StageProcess(folder, process, None)
        except psutil.Error:
            continue
    return None


def has_ended(folder: Path) -> bool:
    """Whether a stage that nobody waits for has left its exit code."""
    return (folder / EXIT_FILE).is_file()


def forget_exit(folder: Path) -> None:
    """What an earlier process has left says nothing about the next one."""
    (folder / EXIT_FILE).unlink(missing_ok=True)


def _processes(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_DIR_VARIABLE) == str(folder):
                found.append(process)
        except psutil.Error:
            continue  # ended meanwhile, or another user's
    return found


def kill(folder: Path, patience: float = 5.0) -> None:
    """Ends every process of a stage: politely first (a launcher ends its job on a cluster), then at once. Blocks."""
    processes = _processes(folder)
    for process in processes:
        _signal(process, signal.SIGTERM)
    psutil.wait_procs(processes, timeout=patience)
    deadline = time.monotonic() + patience
    while (left := _processes(folder)) and time.monotonic() < deadline:
        for process in left:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(left, timeout=0.5)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return  # it has ended


def read_control(folder: Path) -> str:
    try:
        return (folder / CONTROL_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return "run"


def write_control(folder: Path, wanted: str) -> None:
    write_whole(folder / CONTROL_FILE, wanted)


def newest_checkpoint(folder: Path) -> int | None:
    """Step of the newest complete checkpoint (complete ones have their final name)."""
    parent = folder / CHECKPOINT_FOLDER
    names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    steps = [int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))]
    return max(steps, default=None)


def read_events(folder: Path, offset: int, limit: int = 1 << 20) -> tuple[list[bytes], int]:
    """Whole lines of the stage's events from `offset` on, and the offset behind them. Blocks."""
    try:
        with (folder / EVENTS_FILE).open("rb") as file:
            file.seek(offset)
            content = file.read(limit)
            while content and b"\n" not in content and (more := file.read(limit)):
                content += more
    except FileNotFoundError:
        return [], offset
    end = content.rfind(b"\n") + 1
    return content[:end].splitlines(), offset + end


def cut_torn_line(folder: Path, offset: int) -> None:
    """Before a stage goes on writing: what a killed one has left of a line goes. Blocks."""
    path = folder / EVENTS_FILE
    if path.exists() and path.stat().st_size > offset:
        os.truncate(path, offset)


def reported_error(folder: Path) -> dict[str, object] | None:
    """What the stage wrote about its failure."""
    try:
        value = jsontext.parse((folder / ERROR_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def log_tail(folder: Path) -> str:
    try:
        with (folder / LOG_FILE).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def rank_was_killed(folder: Path) -> bool:
    """A launcher ends with 1 when one of its ranks was killed, and says so in the log."""
    return _RANK_KILLED.search(log_tail(folder)) is not None
