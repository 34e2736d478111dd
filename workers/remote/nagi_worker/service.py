"""The worker: one data folder, one queue, whatever number of connections."""

from __future__ import annotations

import asyncio
import fcntl
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nagi_worker import jsontext, machine
from nagi_worker.artefacts import ArtefactRegistry
from nagi_worker.blobs import BlobStore
from nagi_worker.errors import NagiError
from nagi_worker.forwards import Forwards
from nagi_worker.inputs import JobInputs
from nagi_worker.queue import DevicePool
from nagi_worker.runs import Runs
from nagi_worker.security import new_code_secret, new_token, write_secret
from nagi_worker.stage_run import Launch, StageTools, now
from nagi_worker.stages.launchers import launch_command
from nagi_worker.store import Store

GIB = 1 << 30
DEFAULT_MAX_UPLOAD = 64 * GIB
_SECRETS = "secrets.json"
_USE_SECONDS = 1.0


@dataclass(frozen=True)
class Options:
    """What `nagi-worker serve` is told."""

    data: Path
    name: str | None = None
    max_upload: int = DEFAULT_MAX_UPLOAD
    allowed_origins: tuple[str, ...] = ()
    models: Path | None = None
    new_token: bool = False
    launch: Launch = launch_command


@dataclass(frozen=True)
class Secrets:
    """Made once for a data folder, readable by its owner only."""

    worker_id: str
    token: str
    worker_key: str
    """What a relay knows this worker by."""
    code_secret: str
    """The worker's half of a pairing code."""


def read_secrets(data: Path, renew: bool) -> Secrets:
    """@param renew makes another token and code; the worker's id and its place at a relay stay"""
    path = data / _SECRETS
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if stored is not None and not renew:
        return Secrets(**stored)
    kept = stored or {"worker_id": secrets.token_hex(8), "worker_key": secrets.token_hex(32)}
    made = {**kept, "token": new_token(), "code_secret": new_code_secret()}
    write_secret(path, jsontext.dump(made))
    return Secrets(**made)


class Changes:
    """Wakes those who wait for a run's next event. No event is missed by who asks before looking."""

    def __init__(self) -> None:
        self._next: dict[str, asyncio.Event] = {}

    def watch(self, run_id: str) -> asyncio.Event:
        """Set at the run's next change."""
        return self._next.setdefault(run_id, asyncio.Event())

    def announce(self, run_id: str) -> None:
        event = self._next.pop(run_id, None)
        if event is not None:
            event.set()


class Worker:
    """Everything behind the connections. `open` before use, `close` after."""

    def __init__(self, options: Options) -> None:
        if not options.data.exists():
            # Other users of the machine have no token either.
            options.data.mkdir(parents=True, mode=0o700)
        self.options = options
        self.data = options.data.resolve()
        self._lock = (self.data / "lock").open("w")
        self._own_folder()
        self.secrets = read_secrets(self.data, options.new_token)
        self.changes = Changes()
        self.wrong_tokens = asyncio.Lock()
        self.store = Store(self.data / "nagi.sqlite")
        self.blobs = BlobStore(self.data / "blobs", options.max_upload)
        self.artefacts = ArtefactRegistry(self.data / "artefacts", self.store, self.blobs)
        self.forwards = Forwards(self.data / "forwards", self.store)
        self._runs: Runs | None = None
        self.join_code: Callable[[], dict[str, Any]] | None = None
        self.gpus: list[machine.Gpu] = []
        self._looking = asyncio.Lock()
        self._use: tuple[float, dict[str, Any] | None] = (0.0, None)

    def _own_folder(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"{self.data} is used by another worker. End that one, or choose another --data folder."
            raise NagiError("storage.busy", message, {"name": str(self.data)}) from error

    @property
    def runs(self) -> Runs:
        """After `open`."""
        if self._runs is None:
            raise RuntimeError("the worker is not open")
        return self._runs

    async def open(self) -> None:
        """Looks at the machine and goes on with what an earlier worker has left."""
        self.gpus = await machine.read_gpus() if machine.torch_has_cuda() else []
        inputs = JobInputs(self.store, self.artefacts, self.blobs, self.options.models)
        tools = StageTools(self.store, self.artefacts, inputs, self.options.launch, self.changes.announce)
        self._runs = Runs(self.data / "runs", tools, DevicePool([gpu.index for gpu in self.gpus]))
        await self.runs.recover()

    def leave_stages(self) -> None:
        """Lets `close` end without waiting: stages work on, the next start takes them over."""
        self.runs.abandon()

    async def close(self) -> None:
        """Waits until running stages are paused; they go on with the next start."""
        try:
            if self._runs is not None:
                await self._runs.end()
        finally:
            await self.forwards.end()
            self.store.close()
            self._lock.close()

    def info(self) -> dict[str, Any]:
        """The `worker` of a welcome. Blocks shortly."""
        secret = self.secrets.worker_id
        return machine.describe(secret, self.options.name, self.gpus, self.data, self.options.max_upload)

    async def _usage(self) -> dict[str, Any]:
        """As it was a second ago at most, however many ask."""
        async with self._looking:
            looked, use = self._use
            if use is None or time.monotonic() - looked > _USE_SECONDS:
                gpus = await machine.read_gpus() if self.gpus else []
                use = await asyncio.to_thread(machine.usage, gpus, self.data)
                self._use = (time.monotonic(), use)
        return use

    async def status(self) -> dict[str, Any]:
        """`$defs/status`."""
        use = await self._usage()
        stored = await self.store.runs()
        queue = [run.record["run_id"] for run in stored if run.record["state"] == "queued"]
        running = [
            {"run_id": run.record["run_id"], "devices": run.devices}
            for run in stored
            if run.record["state"] in ("preparing", "running")
        ]
        return {"time": now(), "queue": queue, "running": running, **use}
