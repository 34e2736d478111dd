"""What the service wants: looked at after each optimizer step, and all ranks take the same decision."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast

RUN, CHECKPOINT, PAUSE, STOP = 0, 1, 2, 3
_NAMES = {"run": RUN, "checkpoint": CHECKPOINT, "pause": PAUSE, "stop": STOP}


class Control:
    """RUN_DIR/control. "checkpoint" counts once for every time that the file was written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answered: tuple[int, int] | None = None

    def wanted(self) -> int:
        """RUN, CHECKPOINT, PAUSE or STOP; every rank must ask, and gets rank 0's answer."""
        state = PartialState()
        own = self._read() if state.is_main_process else RUN
        if state.num_processes == 1:
            return own
        answer = torch.tensor([own], device=state.device)
        return int(broadcast(answer, from_process=0).item())

    def _read(self) -> int:
        try:
            status = self._path.stat()
            wanted = _NAMES.get(self._path.read_text(encoding="utf-8").strip(), RUN)
        except FileNotFoundError:
            return RUN
        if wanted != CHECKPOINT:
            return wanted
        written = (status.st_ino, status.st_mtime_ns)
        if written == self._answered:
            return RUN
        self._answered = written
        return CHECKPOINT
