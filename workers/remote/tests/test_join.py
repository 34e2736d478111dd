"""A worker behind a relay: studios come in by a code, over one socket, each as if it were alone."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from worker_kit import assert_gapless, asynchronous, launch_scripted, open_gate, open_studio, start

from nagi_worker import jsontext
from nagi_worker.join import BINARY, CLOSED, OPENED, TEXT, Joined, relay_url
from nagi_worker.service import Options, Worker
from nagi_worker.wire import wire_schema

CODE = "K7QF"


class Relay:
    """What workers/relay does, without its memory and its limits."""

    def __init__(self) -> None:
        self.worker: ServerConnection | None = None
        self.hellos: list[dict[str, Any]] = []
        self.studios: dict[int, ServerConnection] = {}
        self.origin: str | None = None
        self.arrived = asyncio.Event()
        self._number = 0

    async def serve(self, socket: ServerConnection) -> None:
        if socket.request is not None and socket.request.path == "/relay/worker":
            await self._serve_worker(socket)
        else:
            await self._serve_studio(socket)

    async def _serve_worker(self, socket: ServerConnection) -> None:
        self.hellos.append(json.loads(await socket.recv()))
        await socket.send(json.dumps({"type": "code", "code": CODE}))
        self.worker = socket
        self.arrived.set()
        try:
            async for frame in socket:
                assert isinstance(frame, bytes)
                number, kind = struct.unpack_from("<IB", frame)
                await self._to_studio(number, kind, frame[5:])
        finally:
            self.worker = None
            self.arrived.clear()
            for studio in list(self.studios.values()):
                await studio.close(4503)

    async def _to_studio(self, number: int, kind: int, payload: bytes) -> None:
        studio = self.studios.get(number)
        if studio is None:
            return
        try:
            if kind == CLOSED:
                said = json.loads(payload)
                await studio.close(said["code"], said["reason"])
            else:
                await studio.send(payload.decode() if kind == TEXT else payload)
        except ConnectionClosed:
            return

    async def _to_worker(self, number: int, kind: int, payload: bytes) -> None:
        if self.worker is not None:
            await self.worker.send(struct.pack("<IB", number, kind) + payload)

    async def _serve_studio(self, socket: ServerConnection) -> None:
        self._number += 1
        number = self._number
        self.studios[number] = socket
        await self._to_worker(number, OPENED, json.dumps({"origin": self.origin}).encode())
        try:
            async for frame in socket:
                if isinstance(frame, str):
                    await self._to_worker(number, TEXT, frame.encode())
                else:
                    await self._to_worker(number, BINARY, frame)
        finally:
            del self.studios[number]
            await self._to_worker(number, CLOSED, b'{"code":1000,"reason":""}')


@asynccontextmanager
async def joined_worker(data: Path, **options: Any) -> AsyncIterator[tuple[Relay, Worker, str, list[str]]]:
    """The relay, the worker, the address for studios and what the worker has printed."""
    relay = Relay()
    said: list[str] = []
    async with serve(relay.serve, "127.0.0.1", 0, compression=None, max_size=8 << 20) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        worker = Worker(Options(data, **{"launch": launch_scripted, **options}))
        await worker.open()
        link = asyncio.create_task(Joined(worker, f"ws://127.0.0.1:{port}", said.append).run())
        try:
            await relay.arrived.wait()
            yield relay, worker, f"ws://127.0.0.1:{port}/relay/studio", said
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)
            await worker.close()


@asynchronous
async def test_two_studios_over_one_link(tmp_path: Path) -> None:
    async with joined_worker(tmp_path) as (relay, worker, url, said):
        code = worker.secrets.code_secret
        # As somebody types it.
        typed = code.replace("-", "").lower()
        async with open_studio(url, typed) as first, open_studio(url, code) as second:
            answer = await first.request("join_code")
            assert answer["code"] == f"{CODE}-{code}"
            assert any(answer["code"] in line for line in said)
            await start(first, "run-1", "gated", steps=40)
            await second.request("subscribe", run_id="run-1", since_seq=0)
            open_gate(tmp_path, "run-1", 40)
            content = bytes(range(256)) * 12_000
            await second.upload(b'{"x":"' + content.hex().encode() + b'"}')
            await first.until_state("run-1", "finished")
            await second.until_state("run-1", "finished")
            assert first.events == second.events
            assert_gapless(first.events["run-1"])
            (artefact,) = await second.request("list_artefacts")
            for file in artefact["files"]:
                _, piece = await second.request("read_blob", sha256=file["sha256"], offset=0, bytes=1 << 20)
                assert len(piece) == file["bytes"]
        assert len(relay.hellos[0]["worker_key"]) == 64
        assert worker.secrets.token not in json.dumps(relay.hellos)


@asynchronous
async def test_the_link_is_dialled_again_and_nothing_is_lost(tmp_path: Path) -> None:
    async with joined_worker(tmp_path) as (relay, worker, url, _):
        async with open_studio(url, worker.secrets.code_secret) as studio:
            await start(studio, "run-1", "gated", steps=9)
            open_gate(tmp_path, "run-1", 5)
            await studio.until_step("run-1", 5)
            assert relay.worker is not None
            relay.worker.transport.abort()
            await studio.socket.wait_closed()
            seen = list(studio.events["run-1"])
        await relay.arrived.wait()
        assert relay.hellos[0]["worker_key"] == relay.hellos[1]["worker_key"]
        open_gate(tmp_path, "run-1", 9)
        async with open_studio(url, worker.secrets.code_secret) as studio:
            await studio.request("subscribe", run_id="run-1", since_seq=len(seen))
            await studio.until_state("run-1", "finished")
            assert_gapless(seen + studio.events["run-1"])


@asynchronous
async def test_a_wrong_code_does_not_come_in_and_holds_nobody_up(tmp_path: Path) -> None:
    async with joined_worker(tmp_path) as (relay, worker, url, _):
        async with open_studio(url, worker.secrets.code_secret) as good, connect(url, proxy=None) as bad:
            await bad.send(json.dumps({"type": "hello", "schema_hash": wire_schema().hash, "token": "AAAA-2222"}))
            for _ in range(40):  # more than wait unread: nobody reads them any more
                await bad.send("x" * 1000)
            with pytest.raises(ConnectionClosed):
                while True:
                    message = jsontext.parse(await bad.recv())
                    assert message["error"]["code"] == "worker.token"
            assert bad.close_code == 4401
            assert await good.request("list_runs") == []
        relay.origin = "https://evil.example"
        async with connect(url, proxy=None) as foreign:
            with pytest.raises(ConnectionClosed):
                await foreign.recv()
            assert foreign.close_code == 4403


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("wss://relay.example", "wss://relay.example/relay/worker"),
        ("ws://localhost:4173/", "ws://localhost:4173/relay/worker"),
        ("wss://relay.example/relay/worker", "wss://relay.example/relay/worker"),
        ("wss://example/nagi?x=1", "wss://example/nagi/relay/worker"),
    ],
)
def test_addresses_of_relays(address: str, url: str) -> None:
    assert relay_url(address) == url


def test_what_is_no_address_of_a_relay() -> None:
    for address in ("https://relay.example", "relay.example", "wss://"):
        with pytest.raises(ValueError, match="wss"):
            relay_url(address)
