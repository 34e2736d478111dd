"""One stage while it is worked on: starts its process or takes over one that is running, stores what it tells, says how
it ended."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nagi_worker import jsontext, stage_process
from nagi_worker.artefacts import ArtefactRegistry
from nagi_worker.errors import NagiError
from nagi_worker.inputs import JobInputs
from nagi_worker.records import Event, Record, stage_of
from nagi_worker.stage_process import StageProcess
from nagi_worker.store import Store, StoredRun
from nagi_worker.wire import wire_schema

# argv of a stage, by its folder and job: `stages.launchers.launch_command`, or a test's own.
Launch = Callable[[Path, dict[str, Any]], list[str]]

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0


def now() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def state_event(state: str, error: dict[str, Any] | None = None) -> Event:
    return {"type": "state", "state": state, "error": error, "time": now()}


def stage_failure(message: str) -> NagiError:
    return NagiError("internal", message, {"message": message})


@dataclass(frozen=True)
class StageTools:
    """What a stage needs of the service."""

    store: Store
    artefacts: ArtefactRegistry
    inputs: JobInputs
    launch: Launch
    announce: Callable[[str], None]
    """Told after events of a run were stored."""


class StageRun:
    """Ends with the run's next resting state."""

    def __init__(self, run_id: str, folder: Path, tools: StageTools) -> None:
        self.run_id = run_id
        self.folder = folder
        self._tools = tools
        self._running_since: float | None = None
        self._seconds_before = 0.0

    async def append(self, bodies: list[Event], offset: int | None = None) -> Record:
        """Stores events, however long the disk stays full, then announces them."""

        async def store() -> Record:
            seconds = self._seconds()
            return await self._tools.store.append(self.run_id, bodies, offset, seconds)

        record = await self._insist(store)
        self._tools.announce(self.run_id)
        return record

    async def _insist(self, work: Callable[[], Awaitable[Record]]) -> Record:
        while True:
            try:
                return await work()
            except NagiError as error:
                if error.code != "storage.quota":
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    def _seconds(self) -> float | None:
        if self._running_since is None:
            return None
        return self._seconds_before + time.monotonic() - self._running_since

    async def launch(self, gpus: list[str]) -> StageProcess | None:
        """Starts the process, or rests the run where a pause or stop came first (None)."""
        wanted = stage_process.read_control(self.folder)
        if wanted in ("pause", "stop"):
            await self.append([state_event("paused" if wanted == "pause" else "stopped")])
            return None
        await self.append([state_event("preparing")])
        stored = await self._tools.store.run(self.run_id)
        job = await self._tools.inputs.job(stored.command)
        await asyncio.to_thread(self._lay_out, job, stored.events_offset)
        if stored.record["step"] > 0 and stage_process.newest_checkpoint(self.folder) is None:
            await self.append([{"type": "resumed", "step": 0, "time": now()}])
        command = self._tools.launch(self.folder, job)
        starting = asyncio.create_task(asyncio.to_thread(stage_process.start, self.folder, command, gpus))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Whoever deletes the run must find the process that is being started.
            await starting
            raise

    def _lay_out(self, job: dict[str, Any], offset: int) -> None:
        stage_process.write_whole(self.folder / "job.json", jsontext.dump(job))
        if not (self.folder / stage_process.CONTROL_FILE).exists():
            stage_process.write_control(self.folder, "run")
        stage_process.cut_torn_line(self.folder, offset)
        shutil.rmtree(self.folder / stage_process.OUTPUT_FOLDER, ignore_errors=True)

    async def follow(self, process: StageProcess) -> None:
        """Stores the stage's events until its process has ended."""
        stored = await self._tools.store.run(self.run_id)
        self._seconds_before, self._running_since = stored.record["seconds"], time.monotonic()
        offset, state = stored.events_offset, stored.record["state"]
        while True:
            # Asked first: what a stage wrote before it ended is read after.
            alive = process.is_alive()
            lines, end = await asyncio.to_thread(stage_process.read_events, self.folder, offset)
            if lines:
                bodies, state = await asyncio.to_thread(_bodies, lines, state)
                await self.append(bodies, end)
                offset = end
            elif not alive:
                return
            else:
                await asyncio.sleep(POLL_SECONDS)

    async def store_rest(self, stored: StoredRun) -> None:
        """What a stage that has died told before it did, without waiting for more."""
        offset, state = stored.events_offset, stored.record["state"]
        while True:
            lines, end = await asyncio.to_thread(stage_process.read_events, self.folder, offset)
            if not lines:
                return
            bodies, state = await asyncio.to_thread(_bodies, lines, state)
            await self.append(bodies, end)
            offset = end

    async def conclude(self, code: int) -> None:
        """Stores how the stage ended, and what it has made."""
        await asyncio.to_thread(stage_process.kill, self.folder)
        if code == stage_process.FINISHED:
            await self._finish()
        elif code == stage_process.PAUSED:
            stored = await self._tools.store.run(self.run_id)
            # Where the worker's own end has paused it, it goes on with the next start.
            await self.append([state_event("paused", interrupted(stored.record) if stored.continues else None)])
        elif code == stage_process.STOPPED:
            await self.append([state_event("stopped")])
        else:
            await self.append([state_event("failed", await self._failure(code))])

    async def _record(self) -> Record:
        return (await self._tools.store.run(self.run_id)).record

    async def _finish(self) -> None:
        kind, metrics = await asyncio.to_thread(self._read_output)
        stored = await self._tools.store.run(self.run_id)
        command, record = stored.command, stored.record
        facts = {
            "kind": kind,
            "name": command["artefact_name"],
            # The run's time, not the clock's: what is registered again after a crash is the same artefact.
            "created": record["created"],
            "parents": command["parents"],
            "run_id": self.run_id,
            "stage": stage_of(record["config"], record["stage"]),
            "seed": record["config"]["seed"],
        }
        made = await self._tools.artefacts.make(self.folder / stage_process.OUTPUT_FOLDER, facts)
        changes = {"artefact": made["id"], "metrics": record["metrics"] or metrics}
        await self._insist(lambda: self._tools.store.update_run(self.run_id, **changes))
        await self.append([state_event("finished")])
        for name in (stage_process.OUTPUT_FOLDER, stage_process.CHECKPOINT_FOLDER):
            await asyncio.to_thread(shutil.rmtree, self.folder / name, True)

    def _read_output(self) -> tuple[str, dict[str, Any]]:
        path = self.folder / stage_process.OUTPUT_FILE
        try:
            output = jsontext.parse(path.read_bytes())
        except (OSError, ValueError) as error:
            raise stage_failure(f"the stage ended without a readable output.json: {error}") from error
        if not isinstance(output, dict) or not isinstance(output.get("metrics"), dict):
            raise stage_failure("output.json is not {kind, metrics}")
        return str(output.get("kind")), output["metrics"]

    async def _failure(self, code: int) -> dict[str, Any]:
        reported = await asyncio.to_thread(stage_process.reported_error, self.folder)
        if reported is not None and wire_schema().problem("error_data", reported) is None:
            return reported
        if code == stage_process.KILLED or await asyncio.to_thread(stage_process.rank_was_killed, self.folder):
            return killed(await self._record())
        tail = (await asyncio.to_thread(stage_process.log_tail, self.folder)).strip().splitlines()
        last = tail[-1][:300] if tail else "it wrote no log"
        return stage_failure(f"the stage process ended with code {code}: {last}").to_data()


def _bodies(lines: list[bytes], state: str) -> tuple[list[Event], str]:
    """A stage's lines as events, with the state that follows from them."""
    bodies: list[Event] = []
    for line in lines:
        body = _body(line)
        bodies.append(body)
        if state == "preparing" and body["type"] in ("prepared", "resumed"):
            state = "running"
            bodies.append({**state_event(state), "time": body["time"]})
    return bodies, state


def _body(line: bytes) -> Event:
    try:
        body: Event = jsontext.parse(line)
    except ValueError as error:
        raise stage_failure(f"the stage wrote an event that is not JSON ({error}): {line[:120]!r}") from error
    problem = wire_schema().problem(
        "run_event", {**body, "run_id": "run", "seq": 0} if isinstance(body, dict) else body
    )
    if problem is None and body["type"] == "state":
        problem = "states are the service's"
    if problem is not None:
        raise stage_failure(f"the stage wrote an event that is none ({problem})")
    return body


def interrupted(record: Record) -> dict[str, Any]:
    details = {"step": record["step"], "checkpoint_step": record["checkpoint_step"]}
    message = f"The worker was ended at step {record['step']}; the run goes on when it is started again."
    return NagiError("run.interrupted", message, details).to_data()


def killed(record: Record) -> dict[str, Any]:
    details = {"step": record["step"], "checkpoint_step": record["checkpoint_step"]}
    message = (
        f"The stage process was killed at step {record['step']}, most likely because memory ran out. "
        "Choose a smaller batch, shorter texts or 8 bit, then resume or start again."
    )
    return NagiError("run.killed", message, details).to_data()
