"""Events of browser runs on their way to the worker's trackers: stored once, by number, and handed to a process that
speaks to the trackers (they block, keep threads and hold the API keys)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nagi_worker import jsontext
from nagi_worker.stage_process import RUN_DIR_VARIABLE, kill, write_whole
from nagi_worker.store import Store
from nagi_worker.wire import bad_message

_PACKAGE_ROOT = Path(__file__).resolve().parents[1]
TRACKING_FILE = "tracking.json"
EVENTS_FILE = "events.jsonl"
LOG_FILE = "log.txt"


class Forwards:
    """One folder and one process a forwarded run."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._lock = asyncio.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def forward(self, run_id: str, events: list[dict[str, Any]], tracking: dict[str, Any]) -> int:
        """
        Hands on those that have not been handed on. Returns the number that comes next.
        Raises worker.bad_message for a gap or another run's events.
        """
        async with self._lock:
            following, size = await self._store.forwarded(run_id)
            fresh = [event for event in events if event["seq"] >= following]
            for expected, event in enumerate(fresh, following):
                if event["seq"] != expected or event["run_id"] != run_id:
                    raise bad_message(f"forward: event {event['seq']} of {event['run_id']}, {expected} comes next")
            if fresh:
                size = await asyncio.to_thread(self._hand_on, run_id, fresh, size, tracking)
                await self._store.set_forwarded(run_id, following + len(fresh), size)
            return following + len(fresh)

    def _hand_on(self, run_id: str, events: list[dict[str, Any]], size: int, tracking: dict[str, Any]) -> int:
        """Appends events to the first `size` bytes of the run's file. Returns its size."""
        folder = self._folder / run_id
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / TRACKING_FILE, jsontext.dump({"run_id": run_id, "tracking": tracking}))
        with (folder / EVENTS_FILE).open("ab") as file:
            # What a killed worker had written without storing how far it was is written again, not twice.
            file.truncate(size)
            file.write("".join(f"{jsontext.dump(event)}\n" for event in events).encode("utf-8"))
            file.flush()
            size = os.fstat(file.fileno()).st_size
        self._ensure_process(run_id, folder)
        return size

    def _ensure_process(self, run_id: str, folder: Path) -> None:
        process = self._processes.get(run_id)
        if process is not None and process.poll() is None:
            return
        if process is None:
            # One that a killed worker has left would log everything a second time.
            kill(folder)
        path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
        with (folder / LOG_FILE).open("ab") as log:
            self._processes[run_id] = subprocess.Popen(
                [sys.executable, "-m", "nagi_worker.stages.forward", str(folder)],
                cwd=folder,
                env={**os.environ, RUN_DIR_VARIABLE: str(folder), "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def process(self, run_id: str) -> subprocess.Popen[bytes] | None:
        """That hands the run's events on; None before the first event since the worker's start."""
        return self._processes.get(run_id)

    async def end(self) -> None:
        """Ends the processes; they go on with the next event after the next start."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            await ended(process)


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Its exit code, once it has one."""
    return await asyncio.to_thread(process.wait)
