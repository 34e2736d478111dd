"""JSON as both sides agree on it: strict when read, and written as JavaScript's JSON.stringify writes it for hashing."""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from typing import Any


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


def parse(text: str | bytes) -> Any:
    """The value. Raises ValueError for what is not JSON, NaN, numbers out of range, lone surrogates, bottomless nesting."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        # A surrogate without its partner can be stored and hashed by nobody; only an escape can bring one.
        if ("\\u" in text) if isinstance(text, str) else (b"\\u" in text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def dump(value: Any) -> str:
    """Compact; raises ValueError for NaN and infinities."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def number_text(value: float) -> str:
    """ECMAScript's Number::toString of the double `value`."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} has no place in JSON")
    if number == 0:
        return "0"
    sign, digit_tuple, exponent = Decimal(repr(number)).normalize().as_tuple()
    digits = "".join(map(str, digit_tuple))
    count = len(digits)
    point = count + int(exponent)
    return ("-" if sign else "") + _place(digits, count, point)


def _place(digits: str, count: int, point: int) -> str:
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def _key_order(key: str) -> bytes:
    """JavaScript compares strings by UTF-16 units."""
    return key.encode("utf-16-be", "surrogatepass")


def canonical(value: Any) -> str:
    """JSON.stringify of `value` with all keys sorted, as src/shared/protocol/artefact.ts hashes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{','.join(map(canonical, value))}]"
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: _key_order(pair[0]))
        return f"{{{','.join(f'{json.dumps(key, ensure_ascii=False)}:{canonical(one)}' for key, one in pairs)}}}"
    raise TypeError(f"{type(value).__name__} is not JSON")


def artefact_id(record: dict[str, Any]) -> str:
    """SHA-256 of an artefact's record without its id: the same as `artefactId` in TypeScript."""
    manifest = {key: value for key, value in record.items() if key != "id"}
    return hashlib.sha256(canonical(manifest).encode("utf-8")).hexdigest()
