"""Text corpus of the bundled base: reads plain text, drops exact duplicates, splits, packs documents into rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EOS_ID = 0
PAD_ID = 1
#: Documents whose SHA-256 falls below this share are held out: stable under re-ordering and added files.
VALIDATION_SHARE = 0.01


def read_documents(folder: Path) -> list[str]:
    """Read every `*.txt` below `folder` as documents without exact duplicates.

    A file with blank lines holds one document a paragraph (its lines joined by a newline), any other file one
    document a line.

    Raises:
        FileNotFoundError: `folder` holds no `*.txt` besides licences.
    """
    paths = sorted(path for path in folder.glob("*.txt") if not path.name.startswith("LICENSE"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no *.txt to pre-train on; pass --text FOLDER")
    seen: dict[str, None] = {}
    for path in paths:
        text = path.read_text(encoding="utf-8")
        separator = "\n\n" if "\n\n" in text else "\n"
        for document in text.split(separator):
            document = document.strip()
            if document:
                seen.setdefault(document)
    return list(seen)


def is_validation(document: str) -> bool:
    """Whether a document is held out, decided by its own hash."""
    digest = hashlib.sha256(document.encode("utf-8")).digest()
    return int.from_bytes(digest[:4], "big") < VALIDATION_SHARE * 2**32


def split_documents(documents: list[str]) -> tuple[list[str], list[str]]:
    """Split into (train, validation)."""
    train = [document for document in documents if not is_validation(document)]
    return train, [document for document in documents if is_validation(document)]


@dataclass(frozen=True)
class PackedRows:
    """Documents packed into rows of `length` tokens.

    `ids` int32 [rows, length], right padded with PAD_ID; `segments` int32 [rows, length], 1, 2, ... for the documents
    of a row and 0 for padding. A document never attends to its neighbours.
    """

    ids: np.ndarray
    segments: np.ndarray


def pack(encoded: list[list[int]], length: int, rng: np.random.Generator) -> PackedRows:
    """First-fit packing over a small window of open rows, in random order; longer documents are cut into pieces."""
    pieces = [document[i : i + length] for document in encoded for i in range(0, len(document), length)]
    rows: list[list[list[int]]] = []
    open_rows: list[tuple[list[list[int]], int]] = []
    for index in rng.permutation(len(pieces)):
        piece = pieces[index]
        for slot, (row, used) in enumerate(open_rows):
            if used + len(piece) <= length:
                row.append(piece)
                open_rows[slot] = (row, used + len(piece))
                break
        else:
            row = [piece]
            rows.append(row)
            open_rows.append((row, len(piece)))
            if len(open_rows) > 16:
                open_rows.pop(max(range(len(open_rows)), key=lambda slot: open_rows[slot][1]))
    ids = np.full((len(rows), length), PAD_ID, np.int32)
    segments = np.zeros((len(rows), length), np.int32)
    for r, row in enumerate(rows):
        offset = 0
        for number, piece in enumerate(row, start=1):
            ids[r, offset : offset + len(piece)] = piece
            segments[r, offset : offset + len(piece)] = number
            offset += len(piece)
    order = rng.permutation(len(rows))
    return PackedRows(ids[order], segments[order])


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented UTF-8 JSON with a final newline; NaN is an error."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n", encoding="utf-8")
