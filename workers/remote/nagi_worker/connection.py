"""One studio at the other end, over a socket of its own or a relay: hello first, then requests in their order, and events
of the runs it has subscribed to, read from the store so that none is missed or sent twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nagi_worker import jsontext
from nagi_worker.commands import HANDLERS
from nagi_worker.errors import NagiError, to_error_data
from nagi_worker.security import token_matches
from nagi_worker.service import Worker
from nagi_worker.wire import (
    CLOSE_SCHEMA,
    CLOSE_UNAUTHORIZED,
    HELLO_SECONDS,
    MAX_FRAME_BYTES,
    bad_message,
    decode_binary,
    wire_schema,
)

logger = logging.getLogger(__name__)

STATUS_SECONDS = 2.0
EVENTS_PER_MESSAGE = 200
EVENT_BYTES_PER_MESSAGE = 1 << 20
# A longer message is checked on a thread, so that other connections do not wait for it.
_LONG_MESSAGE = 32 << 10
_PAUSE_AFTER_WRONG_TOKEN = 1.0


class ChannelClosed(Exception):
    """The other end has gone."""


class Channel(Protocol):
    """A WebSocket, or one of several studios behind a relay."""

    async def receive(self) -> str | bytes:
        """Raises ChannelClosed."""

    async def send(self, data: str | bytes) -> None:
        """Raises ChannelClosed."""

    async def close(self, code: int, reason: str) -> None: ...


@dataclass(frozen=True)
class Door:
    """By what a connection may come in."""

    tokens: tuple[str, ...]
    codes: tuple[str, ...] = ()
    """Typed by people: dashes and case do not matter."""


class Connection:
    """Lives as long as its channel."""

    def __init__(self, worker: Worker, channel: Channel, door: Door) -> None:
        self._worker = worker
        self._channel = channel
        self._door = door
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._after: list[Callable[[], None]] = []
        self.request_id = 0
        """Of the request that is being answered."""

    async def run(self) -> None:
        """Until the channel is closed."""
        try:
            if await self._greet():
                while True:
                    await self._answer(await self._channel.receive())
        except ChannelClosed:
            return
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # hello

    async def _greet(self) -> bool:
        try:
            hello = await asyncio.wait_for(self._channel.receive(), HELLO_SECONDS)
        except asyncio.TimeoutError:
            await self._channel.close(CLOSE_UNAUTHORIZED, "no hello")
            return False
        schema = wire_schema()
        try:
            message = await _parse(hello)
        except NagiError as error:
            return await self._refuse(error, CLOSE_UNAUTHORIZED)
        # A studio of another version must learn so, whatever else its hello says.
        token = message.get("token") if isinstance(message, dict) and message.get("type") == "hello" else None
        if not isinstance(token, str) or not token_matches(token, self._door.tokens, self._door.codes):
            # One at a time over all connections: guessing does not get faster by opening more of them.
            async with self._worker.wrong_tokens:
                await asyncio.sleep(_PAUSE_AFTER_WRONG_TOKEN)
            text = "This is not the worker's token. Copy it from where the worker was started."
            return await self._refuse(NagiError("worker.token", text), CLOSE_UNAUTHORIZED)
        theirs = message.get("schema_hash")
        if theirs != schema.hash:
            text = "Worker and studio are of different versions. Install the same version of Nagi on both sides."
            details = {"theirs": theirs[:64] if isinstance(theirs, str) else None, "ours": schema.hash}
            return await self._refuse(NagiError("worker.schema", text, details), CLOSE_SCHEMA)
        problem = schema.problem("client_message", message)
        if problem is not None:
            return await self._refuse(bad_message(problem), CLOSE_UNAUTHORIZED)
        worker = await asyncio.to_thread(self._worker.info)
        await self._send({"type": "welcome", "schema_hash": schema.hash, "worker": worker})
        return True

    async def _refuse(self, error: NagiError, code: int) -> bool:
        await self._send({"type": "refused", "error": error.to_data()})
        await self._channel.close(code, error.code)
        return False

    # requests

    async def _answer(self, frame: str | bytes) -> None:
        self.request_id = 0
        self._after.clear()
        try:
            result = await self._handle(frame)
        except ChannelClosed:
            raise
        except Exception as error:
            if not isinstance(error, NagiError):
                logger.exception("a request failed")
            if self.request_id == 0:
                # Nobody could tell which request this answers.
                await self._refuse(error if isinstance(error, NagiError) else bad_message(str(error)), 1008)
                raise ChannelClosed from error
            answer = {"ok": False, "error": to_error_data(error)}
            await self._send({"type": "response", "request_id": self.request_id, **answer})
            return
        if isinstance(result, bytes):
            await self._channel.send(result)
        else:
            await self._send_result(result)
        for follow_up in self._after:
            follow_up()

    async def _handle(self, frame: str | bytes) -> Any:
        if isinstance(frame, bytes):
            header, content = decode_binary(frame)
            self.request_id = _request_id(header)
            wire_schema().check("write_blob_header", header)
            return await self._worker.blobs.write(header["sha256"], header["offset"], header["total"], content)
        message = await _parse(frame)
        self.request_id = _request_id(message)
        if len(frame) < _LONG_MESSAGE:
            wire_schema().check("client_message", message)
        else:
            await asyncio.to_thread(wire_schema().check, "client_message", message)
        if message["type"] != "request":
            raise bad_message("hello was said before")
        command = message["command"]
        return await HANDLERS[command["name"]](self._worker, self, command)

    async def _send_result(self, result: Any) -> None:
        text = jsontext.dump({"type": "response", "request_id": self.request_id, "ok": True, "result": result})
        size = len(text.encode("utf-8"))
        if size > MAX_FRAME_BYTES:
            # A relay would end the whole link over it.
            details = {"bytes": size, "allowed": MAX_FRAME_BYTES}
            error = NagiError("worker.too_large", f"The answer has {size} bytes. Delete what is not needed.", details)
            await self._send({"type": "response", "request_id": self.request_id, "ok": False, "error": error.to_data()})
            return
        await self._channel.send(text)

    def after_answer(self, follow_up: Callable[[], None]) -> None:
        """Called once the answer to the current request was sent."""
        self._after.append(follow_up)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._channel.send(jsontext.dump(message))

    # what comes without being asked for each time

    def end_task(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    def _run_task(self, name: str, work: Awaitable[None]) -> None:
        self.end_task(name)
        self._tasks[name] = asyncio.ensure_future(_until_closed(work))

    def send_events(self, run_id: str, since: int) -> None:
        """From now on, until unsubscribed; an earlier subscription to the run ends."""
        self._run_task(f"events {run_id}", self._events(run_id, since))

    async def _events(self, run_id: str, since: int) -> None:
        store, changes = self._worker.store, self._worker.changes
        following = since
        while True:
            changed = changes.watch(run_id)
            texts = await store.events(run_id, following, EVENTS_PER_MESSAGE, EVENT_BYTES_PER_MESSAGE)
            if texts:
                events = ",".join(texts)
                await self._channel.send(f'{{"type":"events","run_id":{jsontext.dump(run_id)},"events":[{events}]}}')
                following += len(texts)
            elif await store.has_run(run_id):
                await changed.wait()
            else:
                return

    def send_status(self) -> None:
        """Every few seconds from now on."""
        self._run_task("status", self._status())

    async def _status(self) -> None:
        while True:
            await self._send({"type": "status", **await self._worker.status()})
            await asyncio.sleep(STATUS_SECONDS)


async def _parse(frame: str | bytes) -> Any:
    if isinstance(frame, bytes):
        raise bad_message("a text frame was expected")
    try:
        return jsontext.parse(frame) if len(frame) < _LONG_MESSAGE else await asyncio.to_thread(jsontext.parse, frame)
    except ValueError as error:
        raise bad_message(f"not JSON: {error}") from error


def _request_id(message: Any) -> int:
    """0 where it names none that could be answered."""
    number = message.get("request_id") if isinstance(message, dict) else None
    return number if type(number) is int and 1 <= number < 1 << 53 else 0


async def _until_closed(work: Awaitable[None]) -> None:
    try:
        await work
    except ChannelClosed:
        return
