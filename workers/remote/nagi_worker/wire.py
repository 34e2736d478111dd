"""Frames, and the schema that src/shared/protocol/remote.ts declares (protocol/schema.json, generated)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from nagi_worker import jsontext
from nagi_worker.errors import NagiError

MAX_FRAME_BYTES = 4 << 20
MAX_HEADER_BYTES = 64 << 10
HELLO_SECONDS = 10.0
CLOSE_UNAUTHORIZED = 4401
CLOSE_SCHEMA = 4409

_HERE = Path(__file__).resolve().parent
# In a wheel it lies inside the package, in the repository beside it.
_SCHEMA_PATHS = (_HERE / "schema.json", _HERE.parent / "protocol" / "schema.json")


def bad_message(problem: str) -> NagiError:
    """worker.bad_message {problem}."""
    return NagiError("worker.bad_message", f"A message does not follow the protocol: {problem}", {"problem": problem})


def encode_binary(header: dict[str, Any], content: bytes) -> bytes:
    """A binary frame: u32 (little endian) length of the header, header, bytes."""
    text = jsontext.dump(header).encode("utf-8")
    return struct.pack("<I", len(text)) + text + content


def decode_binary(frame: bytes) -> tuple[Any, memoryview]:
    """Header and bytes. Raises worker.bad_message; nothing is allocated by what the header claims."""
    if len(frame) < 4:
        raise bad_message(f"a binary frame of {len(frame)} bytes has no header length")
    (length,) = struct.unpack_from("<I", frame)
    if length > min(len(frame) - 4, MAX_HEADER_BYTES):
        raise bad_message(f"a binary frame of {len(frame)} bytes claims a header of {length}")
    try:
        header = jsontext.parse(frame[4 : 4 + length])
    except ValueError as error:
        raise bad_message(f"the header of a binary frame is not JSON: {error}") from error
    return header, memoryview(frame)[4 + length :]


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _min_length(_: Any, limit: int, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and _utf16_length(value) < limit:
        yield ValidationError(f"is shorter than {limit}")


def _max_length(_: Any, limit: int, value: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and _utf16_length(value) > limit:
        yield ValidationError(f"is longer than {limit}")


# zod counts a string's length in UTF-16 units, JSON Schema in code points.
_Validator = extend(Draft202012Validator, {"minLength": _min_length, "maxLength": _max_length})


def _as_python(schema: Any) -> Any:
    """In Python's `re` a "$" also matches before a closing line feed, in JavaScript only at the end."""
    if isinstance(schema, list):
        return [_as_python(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _as_python(value) for key, value in schema.items()}
    pattern = converted.get("pattern")
    if isinstance(pattern, str) and pattern.endswith("$"):
        converted["pattern"] = pattern[:-1] + r"\Z"
    return converted


class WireSchema:
    """Validators by the names of `$defs`."""

    def __init__(self, content: bytes) -> None:
        self.hash = hashlib.sha256(content).hexdigest()
        document = _as_python(jsontext.parse(content))
        self.names: list[str] = sorted(document["$defs"])
        self._validators = {
            name: _Validator({"$defs": document["$defs"], "$ref": f"#/$defs/{name}"}) for name in self.names
        }

    def problem(self, name: str, value: Any) -> str | None:
        """None where `value` is a `$defs/NAME`, else the place and what is wrong there."""
        try:
            error = best_match(self._validators[name].iter_errors(value))
        except RecursionError:
            return "nested too deeply"
        if error is None:
            return None
        message = error.message if len(error.message) <= 200 else f"{error.message[:120]} … {error.message[-60:]}"
        return f"{error.json_path}: {message}"

    def check(self, name: str, value: Any) -> Any:
        """`value`, or raises worker.bad_message {problem}."""
        problem = self.problem(name, value)
        if problem is not None:
            raise bad_message(f"{name}: {problem}")
        return value


@cache
def wire_schema() -> WireSchema:
    """The schema that this package was made with."""
    for path in _SCHEMA_PATHS:
        if path.exists():
            return WireSchema(path.read_bytes())
    raise FileNotFoundError(f"none of {', '.join(map(str, _SCHEMA_PATHS))}: run `npm run schema`")
