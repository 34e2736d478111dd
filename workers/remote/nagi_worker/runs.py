"""All runs of the worker: takes their commands, gives them their turn, and finds them again after the service was killed."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Any

from nagi_worker import stage_process
from nagi_worker.errors import NagiError, to_error_data
from nagi_worker.inputs import JobInputs
from nagi_worker.queue import DevicePool
from nagi_worker.records import RESUMABLE, WORKING, Record
from nagi_worker.stage_process import StageProcess
from nagi_worker.stage_run import StageRun, StageTools, state_event
from nagi_worker.store import Store, StoredRun

logger = logging.getLogger(__name__)


def bad_command(command: str, state: str, way_out: str) -> NagiError:
    """run.bad_command {command, state}."""
    message = f"A run that is {state} cannot be told to {command}. {way_out}"
    return NagiError("run.bad_command", message, {"command": command, "state": state})


class Runs:
    """Commands come from any connection and are repeated after a cut one: what is so already is no error."""

    def __init__(self, folder: Path, tools: StageTools, pool: DevicePool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._tools = tools
        self._pool = pool
        self._active: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Lock()
        self._ending = False

    @property
    def _store(self) -> Store:
        return self._tools.store

    @property
    def _inputs(self) -> JobInputs:
        return self._tools.inputs

    def folder(self, run_id: str) -> Path:
        return self._folder / run_id

    def _stage(self, run_id: str) -> StageRun:
        return StageRun(run_id, self.folder(run_id), self._tools)

    # commands

    async def start(self, command: dict[str, Any]) -> Record:
        """The same command again gives the same run. Raises config.invalid, artefact.not_found, run.bad_command."""
        run_id = command["run_id"]
        if not await self._store.has_run(run_id):
            self._pool.check(command["launch"])
            await self._inputs.check(command)
            self.folder(run_id).mkdir(exist_ok=True)
        record, is_new = await self._store.add_run(command, state_event("queued"))
        if is_new:
            self._tools.announce(run_id)
            await self.take_turns()
        return record

    async def _enqueue(self, run_id: str) -> Record:
        folder = self.folder(run_id)
        stage_process.forget_exit(folder)
        stage_process.write_control(folder, "run")
        return await self._stage(run_id).append([state_event("queued")])

    async def pause(self, run_id: str) -> None:
        """After the step at hand and a checkpoint."""
        await self._ask(run_id, "pause", "paused")

    async def stop(self, run_id: str) -> None:
        """For good."""
        await self._ask(run_id, "stop", "stopped")

    async def _ask(self, run_id: str, wanted: str, resting: str) -> None:
        async with self._turns:
            record = (await self._store.run(run_id)).record
            if run_id in self._active and record["state"] in WORKING:
                # A stop is for good: a pause that arrives later does not undo it.
                if stage_process.read_control(self.folder(run_id)) != "stop":
                    stage_process.write_control(self.folder(run_id), wanted)
            elif record["state"] == "queued" or (wanted == "stop" and record["state"] in RESUMABLE):
                await self._stage(run_id).append([state_event(resting)])
            elif record["state"] != resting:
                raise bad_command(wanted, record["state"], "Look at its state again.")
        await self.take_turns()

    async def checkpoint(self, run_id: str) -> None:
        """After the step at hand."""
        async with self._turns:
            record = (await self._store.run(run_id)).record
            if run_id not in self._active:
                raise bad_command("checkpoint", record["state"], "Only a run that is worked on can be saved.")
            # Whoever was told to pause or stop makes one anyway.
            if stage_process.read_control(self.folder(run_id)) in ("run", "checkpoint"):
                stage_process.write_control(self.folder(run_id), "checkpoint")

    async def resume(self, run_id: str) -> None:
        """From the newest checkpoint; a run that never had its turn from the beginning. Raises run.no_checkpoint."""
        async with self._turns:
            record = (await self._store.run(run_id)).record
            if record["state"] in ("queued", "preparing", "running"):
                if stage_process.read_control(self.folder(run_id)) in ("pause", "stop"):
                    raise bad_command("resume", record["state"], "It is about to rest: wait until it does.")
                return
            if record["state"] not in RESUMABLE:
                raise bad_command("resume", record["state"], "Start it again as a new run.")
            checkpoint = await asyncio.to_thread(stage_process.newest_checkpoint, self.folder(run_id))
            if record["state"] == "failed" and checkpoint is None:
                message = f"The run {run_id} failed before its first checkpoint. Start it again as a new run."
                raise NagiError("run.no_checkpoint", message, {"run_id": run_id})
            await self._store.requeue(run_id)
            await self._enqueue(run_id)
        await self.take_turns()

    async def delete(self, run_id: str) -> None:
        """Ends it at once where it works; its events, checkpoints and rows go, what it has made stays."""
        async with self._turns:
            stored = await self._store.run(run_id)
            task = self._active.get(run_id)
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await asyncio.to_thread(stage_process.kill, self.folder(run_id))
            await self._store.delete_run(run_id)
            await asyncio.to_thread(shutil.rmtree, self.folder(run_id), True)
        self._tools.announce(run_id)
        await self._tools.artefacts.release(stored.command["data"])
        await self.take_turns()

    # turns

    async def take_turns(self) -> None:
        """Starts the runs that are next, as long as there are devices for the first of them."""
        async with self._turns:
            if self._ending:
                return
            for run in await self._store.runs():
                run_id = run.record["run_id"]
                if run.record["state"] != "queued" or run_id in self._active:
                    continue
                devices = self._pool.take(run.command["launch"])
                if devices is None:
                    return
                await self._store.set_devices(run_id, devices)
                self._work(run_id, devices, None)

    def _work(self, run_id: str, devices: list[str], found: StageProcess | None) -> None:
        self._active[run_id] = asyncio.create_task(self._work_on(run_id, devices, found), name=f"run {run_id}")

    async def _work_on(self, run_id: str, devices: list[str], found: StageProcess | None) -> None:
        stage = self._stage(run_id)
        try:
            process = found or await stage.launch(self._pool.gpus_of(devices))
            if process is not None:
                await stage.follow(process)
                await stage.conclude(process.exit_code())
        except Exception as error:
            logger.exception("run %s failed", run_id)
            await asyncio.to_thread(stage_process.kill, self.folder(run_id))
            await stage.append([state_event("failed", to_error_data(error))])
        finally:
            self._pool.release(devices)
            del self._active[run_id]
        await self._settle(run_id)
        await self.take_turns()

    async def _settle(self, run_id: str) -> None:
        """A paused run that was told to stop while its process ended; one that the worker's own end has paused."""
        async with self._turns:
            if self._ending or not await self._store.has_run(run_id):
                return
            stored = await self._store.run(run_id)
            if stored.record["state"] != "paused":
                return
            if stage_process.read_control(self.folder(run_id)) == "stop":
                await self._stage(run_id).append([state_event("stopped")])
            elif stored.continues:
                await self._store.set_continues(run_id, False)
                await self._enqueue(run_id)

    async def idle(self) -> None:
        """Resolves when no run is worked on."""
        while self._active:
            await asyncio.gather(*self._active.values(), return_exceptions=True)

    # the worker's own beginning and end

    async def recover(self) -> None:
        """What an earlier service has left: stages still at work are taken over, those that died go on."""
        for run in await self._store.runs():
            if run.record["state"] in ("preparing", "running"):
                await self._take_over(run)
            elif run.continues:
                await self._settle(run.record["run_id"])
        await self.take_turns()

    async def _take_over(self, run: StoredRun) -> None:
        run_id = run.record["run_id"]
        folder = self.folder(run_id)
        found = await asyncio.to_thread(stage_process.find, folder)
        if found is None and stage_process.has_ended(folder):
            found = StageProcess(folder, None, None)
        if found is not None:
            self._pool.claim(run.devices)
            self._work(run_id, run.devices, found)
            return
        # Both died: what it had told is stored, then it goes on from its newest checkpoint when its turn comes.
        await asyncio.to_thread(stage_process.kill, folder)
        wanted = stage_process.read_control(folder)
        stage = self._stage(run_id)
        await stage.store_rest(run)
        await self._enqueue(run_id)
        if wanted in ("pause", "stop"):
            await stage.append([state_event("paused" if wanted == "pause" else "stopped")])

    async def end(self) -> None:
        """Pauses what is worked on, to go on with the next start, and waits for it."""
        async with self._turns:
            self._ending = True
            for run_id in list(self._active):
                folder = self.folder(run_id)
                if stage_process.read_control(folder) in ("run", "checkpoint"):
                    await self._store.set_continues(run_id, True)
                    stage_process.write_control(folder, "pause")
        await self.idle()

    def abandon(self) -> None:
        """Lets go of the stages without ending them: the next start takes them over."""
        self._ending = True
        for task in self._active.values():
            task.cancel()
