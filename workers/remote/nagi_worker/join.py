"""`nagi-worker join wss://RELAY`: for a machine that nobody can dial (a notebook, behind NAT). The worker dials a relay,
which gives it a code; studios that name the code come in over the one socket, each as a numbered channel.

Frames between relay and worker: `u32 LE channel, u8 kind, payload`; kind 0 opened {origin}, 1 text, 2 binary, 3 closed
{code, reason}. A studio still says hello: its token is the second half of the pairing code.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from nagi_worker import jsontext
from nagi_worker.connection import ChannelClosed, Connection, Door
from nagi_worker.security import origin_allowed
from nagi_worker.service import Worker
from nagi_worker.wire import MAX_FRAME_BYTES

WORKER_PATH = "/relay/worker"
OPENED, TEXT, BINARY, CLOSED = range(4)
_ENVELOPE = struct.Struct("<IB")
_WAITING_FRAMES = 4
_MAX_CHANNELS = 64
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_CLOSE_FORBIDDEN = 4403

Say = Callable[[str], None]


def relay_url(address: str) -> str:
    """The worker's door of a relay. Raises ValueError for what is not ws:// or wss://."""
    parts = urlsplit(address)
    if parts.scheme not in ("ws", "wss") or not parts.netloc:
        raise ValueError(f"{address}: a relay's address begins with wss:// (or ws:// on this machine)")
    path = parts.path.rstrip("/")
    if not path.endswith(WORKER_PATH):
        path += WORKER_PATH
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


class RelayChannel:
    """One studio behind the relay. A slow reader holds the whole link up after a few frames: memory stays bounded."""

    def __init__(self, link: ClientConnection, number: int) -> None:
        self._link = link
        self._number = number
        self._frames: asyncio.Queue[str | bytes | None] = asyncio.Queue(_WAITING_FRAMES)
        self._closed = False

    async def deliver(self, frame: str | bytes | None) -> None:
        """None: the studio has gone."""
        if not self._closed:
            await self._frames.put(frame)

    def abandon(self) -> None:
        """Nobody reads any more: whoever waits to deliver a frame must not wait for ever."""
        self._closed = True
        while not self._frames.empty():
            self._frames.get_nowait()

    async def receive(self) -> str | bytes:
        frame = None if self._closed else await self._frames.get()
        if frame is None:
            self._closed = True
            raise ChannelClosed
        return frame

    async def send(self, data: str | bytes) -> None:
        if self._closed:
            raise ChannelClosed
        if isinstance(data, str):
            await self._envelope(TEXT, data.encode("utf-8"))
        else:
            await self._envelope(BINARY, data)

    async def close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            await self._envelope(CLOSED, jsontext.dump({"code": code, "reason": reason}).encode("utf-8"))

    async def _envelope(self, kind: int, payload: bytes) -> None:
        try:
            await self._link.send(_ENVELOPE.pack(self._number, kind) + payload)
        except ConnectionClosed as error:
            raise ChannelClosed from error


class Joined:
    """Keeps the worker at a relay until cancelled."""

    def __init__(self, worker: Worker, address: str, say: Say) -> None:
        self._worker = worker
        self.url = relay_url(address)
        self._address = address
        self._say = say
        self.code: str | None = None
        """What people type into the studio; None before the relay has answered."""
        self._channels: dict[int, RelayChannel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        worker.join_code = self._join_code

    def _join_code(self) -> dict[str, str | None]:
        return {"relay": self._address, "code": self.code or "-"}

    async def run(self) -> None:
        """Dials again whenever the link breaks."""
        tries = 0
        while True:
            try:
                await self._once()
                tries = 0
            except InvalidStatus as error:
                self._say(f"the relay refused this worker: HTTP {error.response.status_code}")
            except (OSError, WebSocketException, ValueError) as error:
                self._say(f"the relay cannot be reached: {error}")
            wait = _RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)]
            tries += 1
            await asyncio.sleep(wait)

    async def _once(self) -> None:
        async with connect(
            self.url,
            compression=None,
            max_size=MAX_FRAME_BYTES + _ENVELOPE.size,
            max_queue=_WAITING_FRAMES,
            ping_timeout=60,
        ) as link:
            secrets = self._worker.secrets
            name = self._worker.options.name or "worker"
            await link.send(jsontext.dump({"type": "worker", "worker_key": secrets.worker_key, "name": name}))
            self._pair(await link.recv())
            try:
                async for frame in link:
                    await self._take(link, frame)
            finally:
                await self._end_channels()

    def _pair(self, frame: str | bytes) -> None:
        answer = jsontext.parse(frame)
        relay_code = answer.get("code") if isinstance(answer, dict) else None
        if not isinstance(relay_code, str) or not relay_code:
            raise ValueError("it answered with something else than a code")
        code = f"{relay_code}-{self._worker.secrets.code_secret}"
        if code != self.code:
            self.code = code
            self._say(f"pairing code / ペアリングコード: {code}")

    async def _take(self, link: ClientConnection, frame: str | bytes) -> None:
        if isinstance(frame, str) or len(frame) < _ENVELOPE.size:
            raise ValueError("it sent a frame without an envelope")
        number, kind = _ENVELOPE.unpack_from(frame)
        payload = frame[_ENVELOPE.size :]
        if kind == OPENED:
            await self._admit(link, number, payload)
            return
        channel = self._channels.get(number)
        if channel is None:
            return  # closed by this side, its last frames were under way
        if kind == CLOSED:
            del self._channels[number]
            await channel.deliver(None)
        elif kind == TEXT:
            await channel.deliver(payload.decode("utf-8", "replace"))
        elif kind == BINARY:
            await channel.deliver(payload)

    async def _admit(self, link: ClientConnection, number: int, payload: bytes) -> None:
        channel = RelayChannel(link, number)
        origin = jsontext.parse(payload).get("origin")
        allowed = (*self._worker.options.allowed_origins, self._own_origin())
        if len(self._channels) >= _MAX_CHANNELS or not origin_allowed(origin, allowed):
            await channel.close(_CLOSE_FORBIDDEN, "not admitted")
            return
        self._channels[number] = channel
        task = asyncio.create_task(self._serve(number, channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _own_origin(self) -> str:
        """Of the studio that the relay itself serves."""
        parts = urlsplit(self.url)
        return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"

    async def _serve(self, number: int, channel: RelayChannel) -> None:
        door = Door((self._worker.secrets.token,), (self._worker.secrets.code_secret,))
        try:
            await Connection(self._worker, channel, door).run()
        finally:
            channel.abandon()
            self._channels.pop(number, None)

    async def _end_channels(self) -> None:
        self._channels.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
