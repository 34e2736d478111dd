"""Who gets in: tokens, origins, the size of frames, and what plain HTTP tells."""

from __future__ import annotations

import asyncio
import json
import stat
import struct
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from worker_kit import asynchronous, open_studio, open_worker, start

from nagi_worker import jsontext, security
from nagi_worker.wire import MAX_FRAME_BYTES, wire_schema

FIRST_MESSAGES = {
    "no token": {"type": "hello", "schema_hash": wire_schema().hash},
    "empty token": {"type": "hello", "schema_hash": wire_schema().hash, "token": ""},
    "wrong token": {"type": "hello", "schema_hash": wire_schema().hash, "token": "x" * 43},
    "token as a list": {"type": "hello", "schema_hash": wire_schema().hash, "token": ["x"]},
    "no hello": {"type": "request", "request_id": 1, "command": {"name": "list_runs"}},
    "not an object": [],
}


async def said_until_closed(socket: ClientConnection) -> tuple[list[Any], int]:
    """All text messages until the other side closes, and the code of that."""
    messages = []
    try:
        while True:
            messages.append(jsontext.parse(await socket.recv()))
    except ConnectionClosed:
        return messages, socket.close_code or 0


@pytest.mark.parametrize("case", FIRST_MESSAGES)
@asynchronous
async def test_without_the_token_nothing_is_told(tmp_path: Path, case: str) -> None:
    async with open_worker(tmp_path) as (_, url), connect(url, proxy=None) as socket:
        await socket.send(json.dumps(FIRST_MESSAGES[case]))
        messages, code = await said_until_closed(socket)
        assert code == 4401
        assert [message["type"] for message in messages] == ["refused"]
        assert messages[0]["error"]["code"] == "worker.token"
        assert messages[0]["error"]["details"] == {}


@asynchronous
async def test_a_pairing_code_opens_the_relays_door_only(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), connect(url, proxy=None) as socket:
        hello = {"type": "hello", "schema_hash": wire_schema().hash, "token": worker.secrets.code_secret}
        await socket.send(json.dumps(hello))
        assert (await said_until_closed(socket))[1] == 4401


@asynchronous
async def test_another_schema_is_refused_with_both_hashes(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), connect(url, proxy=None) as socket:
        await socket.send(json.dumps({"type": "hello", "schema_hash": "0" * 64, "token": worker.secrets.token}))
        (message,), code = await said_until_closed(socket)
        assert (code, message["error"]["code"]) == (4409, "worker.schema")
        assert message["error"]["details"] == {"theirs": "0" * 64, "ours": wire_schema().hash}


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [
        (None, True),
        ("http://localhost:4173", True),
        ("http://127.0.0.1:5000", True),
        ("https://studio.example", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://localhost:4173.evil.example", False),
        ("https://studio.example.evil", False),
        ("null", False),
        ("http://localhost:4173/\n", False),
    ],
)
@asynchronous
async def test_origins(tmp_path: Path, origin: str | None, admitted: bool) -> None:
    assert security.origin_allowed(origin, ("https://studio.example",)) == admitted
    if origin is not None and "\n" in origin:
        return  # no client sends it
    async with open_worker(tmp_path, allowed_origins=("https://studio.example",)) as (worker, url):
        if admitted:
            async with open_studio(url, worker.secrets.token, origin=origin) as studio:
                assert await studio.request("list_runs") == []
        else:
            with pytest.raises(InvalidStatus) as caught:
                await connect(url, origin=origin, proxy=None)
            assert caught.value.response.status_code == 403


@asynchronous
async def test_plain_http_tells_nothing(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "run-secret", steps=2)
        await studio.until_state("run-secret", "finished")
        base = url.replace("ws://", "http://").removesuffix("/ws")

        def get(path: str) -> tuple[int, str]:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(base + path) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        for path in ("/", "/ws", "/runs/run-secret/log.txt", "/nagi.sqlite", "/../nagi.sqlite", "/secrets.json"):
            status, text = await asyncio.to_thread(get, path)
            assert status in ((200,) if path == "/" else (404, 426, 400)), path
            assert "run-secret" not in text
            assert worker.secrets.token not in text


@asynchronous
async def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    async with open_worker(tmp_path / "new") as (_, _):
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    async with open_worker(tmp_path) as (worker, _):
        assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
        token = worker.secrets.token
        assert len(token) >= 43
    async with open_worker(tmp_path) as (again, _):
        assert again.secrets == worker.secrets
    async with open_worker(tmp_path, new_token=True) as (renewed, url):
        assert renewed.secrets.token != token
        assert renewed.secrets.worker_id == worker.secrets.worker_id
        async with connect(url, proxy=None) as socket:
            await socket.send(json.dumps({"type": "hello", "schema_hash": wire_schema().hash, "token": token}))
            assert (await said_until_closed(socket))[1] == 4401


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = security.hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(security.hmac, "compare_digest", spy)
    assert security.token_matches("ふた", ("いち", "ふた", "さん"))
    # Every secret is compared, also after one has matched.
    assert [b.decode() for _, b in compared] == ["いち", "ふた", "さん"]
    assert not security.token_matches("", ("いち",))
    assert security.token_matches("abcd2345", (), ("ABCD-2345",))
    assert not security.token_matches("abcd2346", (), ("ABCD-2345",))


@asynchronous
async def test_oversized_frames_are_refused_by_their_header(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as other:
        for kind in (0x81, 0x82):
            for length in (MAX_FRAME_BYTES + 1, (1 << 63) - 1):
                async with connect(url, proxy=None, compression=None) as socket:
                    hello = {"type": "hello", "schema_hash": wire_schema().hash, "token": worker.secrets.token}
                    await socket.send(json.dumps(hello))
                    await socket.recv()
                    # Final frame, masked, a length of eight bytes; of the content not one byte is sent.
                    socket.transport.write(struct.pack(">BBQ4x", kind, 0xFF, length))
                    _, code = await said_until_closed(socket)
                    assert code == 1009
        assert await other.request("list_runs") == []


@asynchronous
async def test_compression_is_never_agreed_on(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (_, url), connect(url, proxy=None, compression="deflate") as socket:
        assert socket.protocol.extensions == []
