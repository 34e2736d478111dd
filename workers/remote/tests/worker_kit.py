"""For the worker's tests: a worker of this process, and a studio that checks every message against the schema."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from nagi_worker import jsontext
from nagi_worker.server import Address, WorkerServer
from nagi_worker.service import Options, Worker
from nagi_worker.wire import MAX_FRAME_BYTES, decode_binary, encode_binary, wire_schema

TESTS = Path(__file__).resolve().parent
FIXTURES = TESTS.parent / "protocol" / "fixtures"
SCRIPTED_STAGE = TESTS / "scripted_stage.py"
# A hang ends a test; nothing is measured by it. A loaded machine needs a minute for torch alone.
HANG_SECONDS = 3000
PIECE = 1 << 20


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A coroutine as a pytest function."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def limited() -> None:
            await asyncio.wait_for(test(*arguments, **named), HANG_SECONDS)

        asyncio.run(limited())

    return run


def launch_scripted(folder: Path, _: dict[str, Any]) -> list[str]:
    return [sys.executable, str(SCRIPTED_STAGE), str(folder)]


@asynccontextmanager
async def open_worker(data: Path, **options: Any) -> AsyncIterator[tuple[Worker, str]]:
    """A worker that listens, and its address. Stages are scripted ones."""
    worker = Worker(Options(data, **{"launch": launch_scripted, **options}))
    server = WorkerServer(worker, Address(port=0))
    await worker.open()
    url = await server.start()
    try:
        yield worker, url
    finally:
        await server.close()
        await worker.close()


class WorkerError(Exception):
    """A refused command."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: str = error["code"]
        self.details: dict[str, Any] = error["details"]


@dataclass
class Studio:
    """One connection. Events are collected by run, in the order in which they came."""

    socket: ClientConnection
    welcome: dict[str, Any]

    def __post_init__(self) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.statuses: list[dict[str, Any]] = []
        self.subscribed: set[str] = set()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._change = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for frame in self.socket:
                await self._take(frame)
        except ConnectionClosed:
            pass
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the worker has closed the connection"))
            async with self._change:
                self._change.notify_all()

    async def _take(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            header, content = decode_binary(frame)
            assert wire_schema().problem("blob_header", header) is None
            self._answers.pop(header["request_id"]).set_result((header, bytes(content)))
            return
        message = jsontext.parse(frame)
        problem = wire_schema().problem("worker_message", message)
        assert problem is None, problem
        if message["type"] == "response":
            self._answers.pop(message["request_id"]).set_result(message)
        elif message["type"] == "events":
            self.events.setdefault(message["run_id"], []).extend(message["events"])
        elif message["type"] == "status":
            self.statuses.append(message)
        async with self._change:
            self._change.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for something that messages bring about."""
        async with self._change:
            while not condition():
                assert not self._reader.done(), "the connection was closed before it came"
                await self._change.wait()

    def _ask(self) -> tuple[int, asyncio.Future[Any]]:
        self._number += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        return self._number, answer

    async def request(self, name: str, **fields: Any) -> Any:
        """The result, checked against its schema. Raises WorkerError, ConnectionError."""
        number, answer = self._ask()
        command = {"name": name, **fields}
        await self._send(jsontext.dump({"type": "request", "request_id": number, "command": command}))
        result = await answer
        if isinstance(result, tuple):
            return result
        if not result["ok"]:
            raise WorkerError(result["error"])
        problem = wire_schema().problem(f"result_{name}", result["result"])
        assert problem is None, problem
        return result["result"]

    async def _send(self, frame: str | bytes) -> None:
        try:
            await self.socket.send(frame)
        except ConnectionClosed as error:
            raise ConnectionError("the worker has closed the connection") from error

    async def write_blob(self, sha256: str, offset: int, total: int, content: bytes) -> dict[str, Any]:
        number, answer = self._ask()
        header = {"type": "write_blob", "request_id": number, "sha256": sha256, "offset": offset, "total": total}
        await self._send(encode_binary(header, content))
        result = await answer
        if not result["ok"]:
            raise WorkerError(result["error"])
        return result["result"]

    async def upload(self, content: bytes) -> str:
        """All of it, from where it was cut; its SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        state = await self.request("stat_blob", sha256=sha256, bytes=len(content))
        while not state["complete"]:
            at = state["bytes"]
            state = await self.write_blob(sha256, at, len(content), content[at : at + PIECE])
        return sha256

    def states(self, run_id: str) -> list[str]:
        return [event["state"] for event in self.events.get(run_id, []) if event["type"] == "state"]

    def steps(self, run_id: str) -> list[int]:
        return [event["step"] for event in self.events.get(run_id, []) if event["type"] == "log"]

    async def until_state(self, run_id: str, *states: str) -> None:
        """Until the newest state is one of these."""
        await self.until(lambda: self.states(run_id)[-1:] != [] and self.states(run_id)[-1] in states)

    async def until_step(self, run_id: str, step: int) -> None:
        await self.until(lambda: step in self.steps(run_id))


@asynccontextmanager
async def open_studio(url: str, token: str, **options: Any) -> AsyncIterator[Studio]:
    """A connection that has been welcomed."""
    async with connect(url, compression=None, max_size=4 * MAX_FRAME_BYTES, proxy=None, **options) as socket:
        hello = {"type": "hello", "schema_hash": wire_schema().hash, "token": token}
        await socket.send(json.dumps(hello))
        welcome = jsontext.parse(await socket.recv())
        assert wire_schema().problem("worker_message", welcome) is None, welcome
        assert welcome["type"] == "welcome", welcome
        studio = Studio(socket, welcome)
        try:
            yield studio
        finally:
            await socket.close()
            await studio._reader


def fixture(path: str) -> Any:
    """The `value` of a fixture."""
    return jsontext.parse((FIXTURES / path).read_bytes())["value"]


def start_command(
    run_id: str, behaviour: str, steps: int, data: dict[str, Any] | None, **changes: Any
) -> dict[str, Any]:
    """A `start` of a scripted SFT stage. @param behaviour see scripted_stage.py"""
    command = fixture("valid/request-start-sft.json")["command"]
    config = command["config"]
    stage = next(stage for stage in config["stages"] if stage["id"] == command["stage"])
    config["name"] = behaviour
    stage["max_steps"], stage["save_steps"] = steps, 4
    return {**command, "run_id": run_id, "inputs": {}, "data": data, "parents": [], "launch": LAUNCH, **changes}


LAUNCH = {
    **fixture("valid/request-start-sft.json")["command"]["launch"],
    "launcher": "local",
    "num_processes": 1,
    "precision": "float32",
    "quantization": None,
    "ray_address": None,
    "tracking": None,
}


async def start(studio: Studio, run_id: str, behaviour: str = "free", steps: int = 8, **changes: Any) -> dict[str, Any]:
    """Uploads rows, starts a scripted stage and subscribes to it."""
    rows = json.dumps({"sentence": "よい宿", "label": "positive", "review_id": None}).encode() + b"\n"
    sha256 = await studio.upload(rows)
    data = {"train": sha256, "validation": sha256, "test": None, "pairs": None}
    command = start_command(run_id, behaviour, steps, data, **changes)
    record = await studio.request(command.pop("name"), **command)
    if run_id not in studio.subscribed:
        studio.subscribed.add(run_id)
        await studio.request("subscribe", run_id=run_id, since_seq=0)
    return record


def open_gate(data: Path, run_id: str, step: int) -> None:
    """Lets a gated stage go up to a step."""
    gate = data / "runs" / run_id / "gate"
    part = gate.with_suffix(".part")
    part.write_text(str(step), encoding="ascii")
    part.replace(gate)


def assert_gapless(events: list[dict[str, Any]]) -> None:
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert len(events) > 0
