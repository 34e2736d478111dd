"""A browser run's events to the worker's trackers: `python -m nagi_worker.stages.forward FORWARD_DIR`.

FORWARD_DIR holds tracking.json {run_id, tracking} and events.jsonl, which grows; the end is a final `state` event. How far
they were handed on stands in `position`, so that a process that is started anew sends nothing twice.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .job import write_json
from .trackers import trackers_of

FINAL = ("finished", "failed", "stopped")
PATIENCE = 0.5


def is_final(event: dict[str, Any]) -> bool:
    return event["type"] == "state" and event["state"] in FINAL


def read_from(path: Path, position: int) -> bytes:
    """What a file has from a byte on; nothing before it is there."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(position)
        return file.read()


def follow(path: Path, position: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Whole lines of a growing file from a byte on, up to the run's end, and the byte behind each."""
    while True:
        *lines, _ = read_from(path, position).split(b"\n")
        for line in lines:
            position += len(line) + 1
            event = json.loads(line)
            yield event, position
            if is_final(event):
                return
        if not lines:
            time.sleep(PATIENCE)


def forward(folder: Path) -> None:
    """Hands all events to the trackers; returns after the run's end."""
    said = json.loads((folder / "tracking.json").read_text(encoding="utf-8"))
    run_id = said["run_id"]
    trackers = trackers_of(
        said["tracking"], run_id, said.get("name") or run_id, {"run_id": run_id}, folder / "trackers"
    )
    reached = folder / "position"
    begun = int(reached.read_text(encoding="ascii")) if reached.exists() else 0
    for event, position in follow(folder / "events.jsonl", begun):
        for tracker in trackers:
            tracker.event(event)
        write_json(reached, position)
    for tracker in trackers:
        tracker.close()


if __name__ == "__main__":
    forward(Path(sys.argv[1]))
