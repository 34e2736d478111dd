"""Who gets in, and what does not: tokens, origins, frames, names, schema-violating messages, weights that are code."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import pickle
import stat
import struct
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nagi_worker import jsontext, security
from nagi_worker.errors import NagiError
from nagi_worker.wire import MAX_FRAME_BYTES, encode_binary, wire_schema
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from worker_kit import WorkerError, asynchronous, fixture, open_studio, open_worker, start

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


# Names.

BAD_PATHS = [
    "../escape.json",
    "a/../../escape.json",
    "/etc/escape.json",
    "a//b.json",
    "./a.json",
    "a/./b.json",
    "..\\escape.json",
    "C:\\escape.json",
    "a\u0000.json",
    "a.json\n",
    ".hidden.json",
    "a/",
    "ａ.json",
    "x/" * 9 + "a.json",
    "model.bin",
    "pytorch_model.bin",
    "training_args.pt",
    "model.safetensors.pkl",
    "modeling_evil.py",
    "a.zip",
    "setup.sh",
    "con figure.json",
]


def artefact_of(path: str, content: bytes, sha256: str) -> dict[str, Any]:
    record = fixture("valid/artefact-record.json")
    record["files"] = [{"path": path, "bytes": len(content), "sha256": sha256}]
    return {**record, "id": jsontext.artefact_id(record)}


@asynchronous
async def test_names_of_files_stay_inside(tmp_path: Path) -> None:
    async with open_worker(tmp_path / "data") as (worker, url), open_studio(url, worker.secrets.token) as studio:
        sha256 = await studio.upload(b"{}")
        for path in BAD_PATHS:
            with pytest.raises(WorkerError) as caught:
                await studio.request("put_artefact", record=artefact_of(path, b"{}", sha256))
            assert caught.value.code == "worker.file_refused", path
        twice = artefact_of("a.json", b"{}", sha256)
        twice["files"] = [twice["files"][0], {**twice["files"][0], "path": "A.json"}]
        with pytest.raises(WorkerError) as caught:
            await studio.request("put_artefact", record={**twice, "id": jsontext.artefact_id(twice)})
        assert caught.value.code == "worker.file_refused"
        good = artefact_of("a/config.json", b"{}", sha256)
        assert await studio.request("put_artefact", record=good) == {"missing": []}
        assert await studio.request("list_artefacts") == [good]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@asynchronous
async def test_a_record_with_another_id_is_refused(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        sha256 = await studio.upload(b"{}")
        record = {**artefact_of("config.json", b"{}", sha256), "name": "another"}
        with pytest.raises(WorkerError) as caught:
            await studio.request("put_artefact", record=record)
        assert caught.value.code == "worker.bad_message"


# Files that are code, or more than they seem.


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (Path.touch, (Path("/tmp/nagi-pickle-was-run"),))


def torch_zip() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(4)}, file)
    return file.getvalue()


def torch_legacy() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(4)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (64 << 20))
    return file.getvalue()


CODE = {
    "torch zip": torch_zip,
    "torch legacy": torch_legacy,
    "zip bomb": zip_bomb,
    **{f"pickle {protocol}": lambda protocol=protocol: pickle.dumps(Evil(), protocol) for protocol in range(2, 6)},
}


@pytest.mark.parametrize("kind", CODE)
@asynchronous
async def test_pickles_and_archives_are_refused_at_their_first_bytes(tmp_path: Path, kind: str) -> None:
    content = CODE[kind]()
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        with pytest.raises(WorkerError) as caught:
            await studio.upload(content)
        assert caught.value.code == "worker.file_refused"
        assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    assert not Path("/tmp/nagi-pickle-was-run").exists()


HEADER = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
NOT_WHAT_THEY_SAY = {
    "text protocol pickle": ("model.safetensors", pickle.dumps(Evil(), 0)),
    "pickle after spaces": ("config.json", b"   " + pickle.dumps({"a": 1}, 0)),
    "header longer than the file": ("model.safetensors", (1 << 40).to_bytes(8, "little") + HEADER),
    "no header": ("model.safetensors", b"\0" * 16),
    "header is a list": ("model.safetensors", (2).to_bytes(8, "little") + b"[]"),
    "tensor outside": ("model.safetensors", len(HEADER).to_bytes(8, "little") + HEADER + b"\0\0"),
    "deep header": ("model.safetensors", (100_000).to_bytes(8, "little") + b"[" * 100_000),
    "deep JSON": ("config.json", b"[" * 100_000),
    "JSON with NaN": ("config.json", b'{"a": NaN}'),
    "empty weights": ("model.safetensors", b""),
}


@pytest.mark.parametrize("kind", NOT_WHAT_THEY_SAY)
@asynchronous
async def test_files_must_be_what_their_names_say(tmp_path: Path, kind: str) -> None:
    path, content = NOT_WHAT_THEY_SAY[kind]
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        sha256 = hashlib.sha256(content).hexdigest()
        await studio.write_blob(sha256, 0, len(content), content)
        with pytest.raises(WorkerError) as caught:
            await studio.request("put_artefact", record=artefact_of(path, content, sha256))
        assert caught.value.code == "worker.file_refused"
        assert await studio.request("list_artefacts") == []


def test_a_safetensors_header_of_640_bytes_is_no_pickle() -> None:
    start = (640).to_bytes(8, "little") + b"{"
    assert start.startswith(b"\x80\x02")
    security.refuse_archive(start, "model.safetensors")
    with pytest.raises(NagiError):
        security.refuse_archive(b"\x80\x02}q\x00.\0\0{", "model.safetensors")


# Messages that violate the schema.

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A valid request in which one place holds something else, lacks or has one too many."""
    names = ["request-start-sft", "request-subscribe", "request-put-artefact", "request-read-blob", "request-forward"]
    message = fixture(f"valid/{draw(st.sampled_from(names))}.json")
    message["request_id"] = draw(st.just(7) | JUNK)
    place = message
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return message
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or draw(st.booleans()):
            break
        place = place[key]
    action = draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "replace":
        place[key] = draw(JUNK)
    elif action == "remove":
        del place[key]
    elif isinstance(place, dict):
        place[draw(st.text(max_size=12))] = draw(JUNK)
    return message


FUZZ = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def fuzz_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


async def throw(folder: Path, frame: str | bytes) -> None:
    """Sends a frame; it is answered by an error or a close, and the worker goes on."""
    async with open_worker(folder) as (worker, url):
        async with connect(url, proxy=None, compression=None) as socket:
            hello = {"type": "hello", "schema_hash": wire_schema().hash, "token": worker.secrets.token}
            await socket.send(json.dumps(hello))
            assert jsontext.parse(await socket.recv())["type"] == "welcome"
            await socket.send(frame)
            try:
                answer = jsontext.parse(await socket.recv())
            except ConnectionClosed:
                answer = None
            assert answer is not None
            assert wire_schema().problem("worker_message", answer) is None
            valid = isinstance(frame, str) and _is_valid(frame)
            if not valid:
                error = answer["error"]
                assert error["code"] == "worker.bad_message", answer
        async with open_studio(url, worker.secrets.token) as studio:
            await studio.request("status")


def _is_valid(frame: str) -> bool:
    try:
        return wire_schema().problem("client_message", jsontext.parse(frame)) is None
    except ValueError:
        return False


@FUZZ
@given(message=JUNK | damaged())
def test_messages_that_violate_the_schema_are_answered(fuzz_folder: Path, message: Any) -> None:
    asyncio.run(throw(fuzz_folder, json.dumps(message)))


@FUZZ
@given(frame=st.text(max_size=40) | st.binary(max_size=64) | JUNK.map(lambda header: encode_binary({"x": header}, b"1")))
def test_frames_of_any_content_are_answered(fuzz_folder: Path, frame: str | bytes) -> None:
    asyncio.run(throw(fuzz_folder, frame))


@asynchronous
async def test_bottomless_and_endless_messages(tmp_path: Path) -> None:
    for text in ("[" * 1_000_000, '{"a":' * 500_000, "1" * 1_000_000, '"' + "a" * 1_000_000):
        await throw(tmp_path, text)
