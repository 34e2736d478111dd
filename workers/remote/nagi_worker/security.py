"""Who may speak to the worker, and which names and files it takes from them."""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from nagi_worker import jsontext
from nagi_worker.errors import NagiError

# The studio as `npm start` and `npm run dev` serve it, and a page on this machine.
LOCAL_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
# No 0, 1, I, L, O, U: read aloud and typed by hand.
_CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"

_SUFFIXES = (".safetensors", ".json", ".jsonl", ".txt")
_OTHER_NAMES = ("README.md",)
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# pickle protocol 2 to 5, and what archives begin with: no byte of them is unpacked here, ever.
_REFUSED_STARTS = (
    *(bytes((0x80, protocol)) for protocol in range(2, 6)),
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
    b"\x28\xb5\x2f\xfd",
    b"Rar!",
)
MAX_SAFETENSORS_HEADER = 100_000_000
MAX_JSON_BYTES = 64 << 20
_HEADER_LENGTH_BYTES = 8


def new_token() -> str:
    """256 bits, in URL letters."""
    return secrets.token_urlsafe(32)


def new_code_secret() -> str:
    """The worker's half of a pairing code, as XXXX-XXXX: 39 bits, guarded by a pause after each wrong one."""
    letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def _plain_code(text: str) -> str:
    return text.upper().replace("-", "").replace(" ", "")


def token_matches(given: str, tokens: Iterable[str], codes: Iterable[str] = ()) -> bool:
    """Compares with every secret in a time that does not depend on where they differ."""
    matched = False
    for token in tokens:
        matched |= hmac.compare_digest(given.encode("utf-8"), token.encode("utf-8"))
    for code in codes:
        matched |= hmac.compare_digest(_plain_code(given).encode("utf-8"), _plain_code(code).encode("utf-8"))
    return matched


def origin_allowed(origin: str | None, allowed: Iterable[str]) -> bool:
    """None: no browser. A page may only speak to the worker from an address that is on the list or on this machine."""
    return origin is None or LOCAL_ORIGIN.fullmatch(origin) is not None or origin in allowed


def write_secret(path: Path, text: str) -> None:
    """A file that only its owner can read, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def refused(file: str, reason: str) -> NagiError:
    """worker.file_refused {file, reason}."""
    return NagiError("worker.file_refused", f"{file}: {reason}.", {"file": file, "reason": reason})


def check_file_name(path: str) -> None:
    """A relative path of a kind of file that stages read. Raises worker.file_refused."""
    segments = path.split("/")
    if not all(_SEGMENT.fullmatch(segment) for segment in segments) or len(segments) > 8:
        raise refused(path, "not a relative path of plain names")
    name = PurePosixPath(path).name
    if not name.endswith(_SUFFIXES) and name not in _OTHER_NAMES:
        raise refused(path, f"only {', '.join(_SUFFIXES)} and {', '.join(_OTHER_NAMES)} are taken")


def _may_be_safetensors(start: bytes) -> bool:
    """A header's length below 4 GiB, then JSON: a header of 640 bytes begins as a pickle of protocol 2 does."""
    return start[4:9] == b"\0\0\0\0{"


def refuse_archive(start: bytes, name: str) -> None:
    """Raises worker.file_refused for pickles and archives, by their first nine bytes or more."""
    if start.startswith(_REFUSED_STARTS) and not _may_be_safetensors(start):
        raise refused(name, "a pickle or an archive; weights travel as safetensors, everything else as plain files")


def check_content(path: str, file: BinaryIO, size: int) -> None:
    """That a file of an artefact is what its name says. Raises worker.file_refused."""
    if path.endswith(".safetensors"):
        _check_safetensors(path, file, size)
        return
    refuse_archive(file.read(9), path)
    file.seek(0)
    if path.endswith(".json"):
        if size > MAX_JSON_BYTES:
            raise refused(path, f"{size} bytes of JSON, at most {MAX_JSON_BYTES} are taken")
        try:
            jsontext.parse(file.read())
        except ValueError as error:
            raise refused(path, f"not JSON: {error}") from error


def _check_safetensors(path: str, file: BinaryIO, size: int) -> None:
    start = file.read(_HEADER_LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    room = min(size - _HEADER_LENGTH_BYTES, MAX_SAFETENSORS_HEADER)
    if len(start) < _HEADER_LENGTH_BYTES or length < 2 or length > room:
        raise refused(path, f"not safetensors: {size} bytes cannot hold the header it claims")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise refused(path, "not safetensors: its header is not JSON") from error
    if not isinstance(header, dict):
        raise refused(path, "not safetensors: its header is not an object")
    data = size - _HEADER_LENGTH_BYTES - length
    for name, entry in header.items():
        if name != "__metadata__" and not _inside(entry, data):
            raise refused(path, f"not safetensors: the bytes of {name[:80]} do not lie in the file")


def _inside(entry: object, data: int) -> bool:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2:
        return False
    begin, end = offsets
    return type(begin) is int and type(end) is int and 0 <= begin <= end <= data
