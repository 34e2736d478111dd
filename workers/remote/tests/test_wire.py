"""The wire: the same fixtures pass and fail as in TypeScript, the same ids, frames that lie."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest
from worker_kit import FIXTURES, TESTS

from nagi_worker import jsontext
from nagi_worker.errors import NagiError
from nagi_worker.wire import decode_binary, encode_binary, wire_schema


def fixtures(kind: str) -> list[Path]:
    found = sorted((FIXTURES / kind).glob("*.json"))
    assert len(found) > 20
    return found


def problem_of(path: Path) -> str | None:
    try:
        case = jsontext.parse(path.read_bytes())
    except ValueError as error:
        return str(error)
    return wire_schema().problem(case["schema"], case["value"])


@pytest.mark.parametrize("path", fixtures("valid"), ids=lambda path: path.stem)
def test_valid_fixtures_pass(path: Path) -> None:
    assert problem_of(path) is None


@pytest.mark.parametrize("path", fixtures("invalid"), ids=lambda path: path.stem)
def test_invalid_fixtures_fail(path: Path) -> None:
    assert problem_of(path) is not None


def test_schema_hash_is_the_studios() -> None:
    content = (TESTS.parent / "protocol" / "schema.json").read_bytes()
    assert wire_schema().hash == hashlib.sha256(content).hexdigest()
    declared = (TESTS.parents[2] / "src" / "shared" / "protocol" / "remote-hash.ts").read_text(encoding="utf-8")
    assert f'"{wire_schema().hash}"' in declared


def test_artefact_ids_are_those_of_typescript() -> None:
    cases = jsontext.parse((FIXTURES / "artefact-ids.json").read_bytes())
    assert len(cases) > 2
    for case in cases:
        assert jsontext.artefact_id(case["manifest"]) == case["id"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-7, "1e-7"),
        (1e-5, "0.00001"),
        (0.000001, "0.000001"),
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (123456789012345680000, "123456789012345680000"),
        (0.1, "0.1"),
        (-2.5e-9, "-2.5e-9"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (100, "100"),
        (1200.5, "1200.5"),
    ],
)
def test_numbers_are_written_as_javascript_does(value: float, text: str) -> None:
    assert jsontext.number_text(value) == text


def test_keys_are_sorted_by_utf16_units() -> None:
    assert jsontext.canonical({"\uff5e": 1, "\U00010000": 2, "a": [None, True, "\u2028\x1f"]}) == (
        '{"a":[null,true,"\u2028\\u001f"],"\U00010000":2,"\uff5e":1}'
    )


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "1e999", '"\\ud800"', "[" * 100_000, "1" * 5000, "{", "", "\ufeff{}"]
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        jsontext.parse(text)


def test_binary_frames_go_there_and_back() -> None:
    header = {"type": "write_blob", "sha256": "ö"}
    found, content = decode_binary(encode_binary(header, b"\0\1\2"))
    assert (found, bytes(content)) == (header, b"\0\1\2")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0\0",
        struct.pack("<I", 5) + b"{}",
        struct.pack("<I", 0xFFFFFFFF) + b"{}",
        struct.pack("<I", 1 << 20) + b" " * (1 << 20),
        struct.pack("<I", 2) + b"\xff\xfe",
        struct.pack("<I", 0),
    ],
)
def test_binary_frames_that_lie_are_refused(frame: bytes) -> None:
    with pytest.raises(NagiError) as caught:
        decode_binary(frame)
    assert caught.value.code == "worker.bad_message"


def test_lengths_are_counted_as_javascript_does() -> None:
    command = json.loads((FIXTURES / "valid" / "request-start-sft.json").read_text(encoding="utf-8"))["value"]
    command["command"]["config"]["name"] = "😀" * 60
    assert wire_schema().problem("client_message", command) is None
    command["command"]["config"]["name"] = "😀" * 61
    assert wire_schema().problem("client_message", command) is not None
