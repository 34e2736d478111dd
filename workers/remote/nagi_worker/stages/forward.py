"""A browser run's events to the worker's trackers: `python -m nagi_worker.stages.forward FORWARD_DIR`.

FORWARD_DIR holds tracking.json {run_id, tracking} and events.jsonl, which grows; the end is a final `state` event.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .trackers import trackers_of

FINAL = ("finished", "failed", "stopped")
PATIENCE = 0.5


def is_final(event: dict[str, Any]) -> bool:
    return event["type"] == "state" and event["state"] in FINAL


def follow(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines of a growing file, up to the run's end."""
    at, rest = 0, b""
    while True:
        found = path.read_bytes()[at:] if path.exists() else b""
        at += len(found)
        *lines, rest = (rest + found).split(b"\n")
        for line in lines:
            event = json.loads(line)
            yield event
            if is_final(event):
                return
        if not found:
            time.sleep(PATIENCE)


def forward(folder: Path) -> None:
    """Hands all events to the trackers; returns after the run's end."""
    said = json.loads((folder / "tracking.json").read_text(encoding="utf-8"))
    run_id = said["run_id"]
    trackers = trackers_of(
        said["tracking"], run_id, said.get("name") or run_id, {"run_id": run_id}, folder / "trackers"
    )
    for event in follow(folder / "events.jsonl"):
        for tracker in trackers:
            tracker.event(event)
    for tracker in trackers:
        tracker.close()


if __name__ == "__main__":
    forward(Path(sys.argv[1]))
