"""Data files as stages read them: the studio uploads clean JSONL in the order it trains on; everything else is said.

The rules are those of workers/engine/data and workers/engine/train/rows.ts: what is cut, which rows fall into a part, how
pairs are drawn. Token ids come from `tokenizers`, as the file tokenizer.json has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import NagiError
from .job import Job
from .rng import MASK, Random, stream

#: of an imported file of pairs this share is kept back for evaluation, at least one pair where there are two
HELD_BACK = 0.1


@dataclass(frozen=True)
class Row:
    sentence: str
    #: 1 positive, 0 negative
    label: int
    review_id: str | None


@dataclass(frozen=True)
class Preference:
    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Pair:
    """Indices of two texts."""

    chosen: int
    rejected: int


def _lines(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered objects of a JSONL file. Raises data.not_json {file, line, value, count, total}, data.unreadable."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        details = {"file": name, "reason": str(error), "line": 0}
        raise NagiError("data.unreadable", f"{name}: {error}. Upload it again.", details) from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            details = {"file": name, "line": number, "value": line[:60], "count": 1, "total": 1}
            raise NagiError("data.not_json", f"{name}, line {number}: is not a JSON object: {line[:60]}", details)
        yield number, value


def _empty(file: str, why: str) -> NagiError:
    return NagiError("data.empty", f"{file}: {why}", {"file": file})


def read_rows(path: Path, name: str, *, both_labels: bool = True) -> list[Row]:
    """The rows of a file. Raises data.* with file and line; data.single_label where both labels are needed."""
    rows = [_row(name, number, value) for number, value in _lines(path, name)]
    if not rows:
        raise _empty(name, "has no rows.")
    if both_labels and len({row.label for row in rows}) == 1:
        label = "positive" if rows[0].label else "negative"
        raise NagiError(
            "data.single_label",
            f"{name}: all {len(rows)} rows are {label}. Add rows with the other label.",
            {"file": name, "label": label, "rows": len(rows)},
        )
    return rows


def _row(file: str, line: int, value: dict[str, Any]) -> Row:
    sentence, label, review_id = value.get("sentence"), value.get("label"), value.get("review_id")
    place = {"file": file, "line": line, "count": 1, "total": 1}
    if not isinstance(sentence, str) or not sentence.strip() or label is None:
        found = ", ".join(value) or "nothing"
        message = f"{file}, line {line}: needs a sentence and a label, found: {found}"
        raise NagiError("data.missing_column", message, {**place, "value": found, "found": found})
    if label not in ("positive", "negative"):
        allowed = "positive, negative"
        message = f"{file}, line {line}: the label {label!r} is unknown. Allowed: {allowed}"
        raise NagiError("data.bad_label", message, {**place, "value": str(label), "allowed": allowed})
    return Row(sentence, int(label == "positive"), None if review_id is None else str(review_id))


def read_preferences(path: Path, name: str) -> list[Preference]:
    """The pairs of a file. Raises data.*: every line counts."""
    pairs = []
    for number, value in _lines(path, name):
        prompt, chosen, rejected = value.get("prompt"), value.get("chosen"), value.get("rejected")
        texts = isinstance(prompt, str) and isinstance(chosen, str) and isinstance(rejected, str)
        if not texts or not chosen.strip() or not rejected.strip() or chosen == rejected:
            found = ", ".join(value) or "nothing"
            details = {"file": name, "line": number, "value": found, "found": found, "count": 1, "total": 1}
            problem = "needs prompt, chosen and rejected as texts; the last two not empty and not equal"
            raise NagiError("data.missing_column", f"{name}, line {number}: {problem}, found: {found}", details)
        pairs.append(Preference(prompt, chosen, rejected))
    if not pairs:
        raise _empty(name, "has no pairs.")
    return pairs


def _text_hash(text: str, seed: int) -> int:
    """FNV-1a over UTF-16 code units, then SplitMix32's mixing (rows.ts)."""
    units = text.encode("utf-16-le", "surrogatepass")
    value = (0x811C_9DC5 ^ seed) & MASK
    for at in range(0, len(units), 2):
        value = ((value ^ (units[at] | units[at + 1] << 8)) * 0x0100_0193) & MASK
    value = ((value ^ (value >> 16)) * 0x21F0_AAAD) & MASK
    value = ((value ^ (value >> 15)) * 0x735A_2D97) & MASK
    return value ^ (value >> 15)


def rows_of_part(rows: list[Row], part: dict[str, int] | None, seed: int, file: str) -> list[Row]:
    """The rows whose text falls into a part {part, of}. Raises data.empty, data.single_label."""
    if part is None:
        return rows
    kept = [row for row in rows if _text_hash(row.sentence, seed) % part["of"] == part["part"]]
    name = f"part {part['part']} of {part['of']}"
    if not kept:
        raise _empty(file, f"{name} has no rows. Use fewer parts.")
    if len({row.label for row in kept}) == 1:
        label = "positive" if kept[0].label else "negative"
        details = {"file": file, "label": label, "rows": len(kept)}
        message = f"{file}: all {len(kept)} rows of {name} are {label}. Use fewer parts."
        raise NagiError("data.single_label", message, details)
    return kept


def _cycled(indices: list[int], count: int, random: Random) -> list[int]:
    result: list[int] = []
    while len(result) < count:
        result.extend(list(random.shuffle(list(indices)))[: count - len(result)])
    return result


def draw_pairs(labels: list[int], random: Random) -> list[Pair]:
    """As many random pairs as the larger class has texts: every text is in one at least."""
    positive = [index for index, label in enumerate(labels) if label == 1]
    negative = [index for index, label in enumerate(labels) if label == 0]
    if not positive or not negative:
        raise ValueError("pairs need both labels")
    count = max(len(positive), len(negative))
    chosen = _cycled(positive, count, random)
    rejected = _cycled(negative, count, random)
    return [Pair(a, b) for a, b in zip(chosen, rejected, strict=True)]


def hold_back(pairs: list[Any], seed: int) -> tuple[list[Any], list[Any]]:
    """(to train on, kept back), in the seed's order."""
    shuffled = list(stream(seed, "pairs").shuffle(list(pairs)))
    held = 0 if len(shuffled) < 2 else max(1, int(HELD_BACK * len(shuffled)))
    return shuffled[held:], shuffled[:held]


# Texts as a language model learns them: engine/data/documents.ts


@dataclass(frozen=True)
class Document:
    ids: list[int]
    #: tokens before this one are not learnt from
    learnt_from: int
    #: run-on text, in which several stretches are not learnt from: whether a token is
    learnt: list[bool] | None = None

    def labels(self, ignored: int = -100) -> list[int]:
        """The token itself where its prediction counts; the first of a text has nothing before it."""
        return [
            token if at > 0 and at >= self.learnt_from and (self.learnt is None or self.learnt[at]) else ignored
            for at, token in enumerate(self.ids)
        ]


@dataclass(frozen=True)
class PackedRow:
    """Documents that share a row; none sees another."""

    documents: list[Document]

    @property
    def tokens(self) -> int:
        return sum(len(document.ids) for document in self.documents)

    def columns(self) -> dict[str, list[int]]:
        """input_ids, labels (-100: not counted) and position_ids, which begin anew with each document."""
        documents = self.documents
        return {
            "input_ids": [token for one in documents for token in one.ids],
            "labels": [label for one in documents for label in one.labels()],
            "position_ids": [at for one in documents for at in range(len(one.ids))],
        }

    def learns(self) -> bool:
        return any(label != -100 for one in self.documents for label in one.labels())


def parse_template(template: str) -> tuple[str, str]:
    """What stands before and after "{sentence}". Raises config.invalid where it is not there exactly once."""
    parts = template.split("{sentence}")
    if len(parts) == 2:
        return parts[0], parts[1]
    problem = f"{json.dumps(template, ensure_ascii=False)} holds {{sentence}} {'nowhere' if len(parts) == 1 else 'more than once'}"
    details = {"file": "config", "path": "template", "problem": problem, "allowed": "a text with {sentence} once"}
    raise NagiError("config.invalid", f"template: {problem}. Write it once, where a row's text belongs.", details)


def truncate(documents: list[Document], max_length: int) -> tuple[list[Document], int]:
    """Documents cut to a length (the end is lost, its EOS with it, as trl does), and how many were."""
    cut = [one if len(one.ids) <= max_length else replace(one, ids=one.ids[:max_length]) for one in documents]
    return cut, sum(len(one.ids) > max_length for one in documents)


def pack(documents: list[Document], packing: str | bool, max_length: int) -> list[PackedRow]:
    """Rows of at most `max_length` tokens: one document each (False), by best fit ("bfd"), or run on ("wrapped")."""
    if packing == "wrapped":
        return _wrap(documents, max_length)
    if packing == "bfd":
        return _best_fit(documents, max_length)
    return [PackedRow([document]) for document in documents]


def _best_fit(documents: list[Document], max_length: int) -> list[PackedRow]:
    rows: list[list[Document]] = []
    by_room: list[list[int]] = [[] for _ in range(max_length + 1)]
    for document in sorted(documents, key=lambda one: -len(one.ids)):  # sorted is stable, as JavaScript's sort
        size = len(document.ids)
        room = next((room for room in range(size, max_length + 1) if by_room[room]), None)
        if room is None:
            by_room[max_length - size].append(len(rows))
            rows.append([document])
        else:
            found = by_room[room].pop(0)
            rows[found].append(document)
            by_room[room - size].append(found)
    return [PackedRow(row) for row in rows]


def _wrap(documents: list[Document], max_length: int) -> list[PackedRow]:
    ids = [token for one in documents for token in one.ids]
    learnt = [at >= one.learnt_from for one in documents for at in range(len(one.ids))]
    starts = range(0, len(ids), max_length)
    return [PackedRow([Document(ids[at : at + max_length], 0, learnt[at : at + max_length])]) for at in starts]


def job_rows(job: Job, which: str, *, both_labels: bool = True) -> list[Row]:
    """The rows of one of a stage's files. Raises data.*."""
    return read_rows(job.file(which), job.data_name(which), both_labels=both_labels)


def job_preferences(job: Job) -> list[Preference] | None:
    """The pairs of a stage; None where it draws its own."""
    path = job.data.get("pairs")
    return read_preferences(path, job.data_name("pairs")) if path else None
