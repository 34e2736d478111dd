"""Messages and frames that violate the protocol: each is answered, none harms the worker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from worker_kit import asynchronous, fixture, open_studio, open_worker

from nagi_worker import jsontext
from nagi_worker.wire import encode_binary, wire_schema

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
@given(
    frame=st.text(max_size=40) | st.binary(max_size=64) | JUNK.map(lambda header: encode_binary({"x": header}, b"1"))
)
def test_frames_of_any_content_are_answered(fuzz_folder: Path, frame: str | bytes) -> None:
    asyncio.run(throw(fuzz_folder, frame))


@asynchronous
async def test_bottomless_and_endless_messages(tmp_path: Path) -> None:
    for text in ("[" * 1_000_000, '{"a":' * 500_000, "1" * 1_000_000, '"' + "a" * 1_000_000):
        await throw(tmp_path, text)
