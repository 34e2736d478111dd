"""Prompts cut from texts, and continuations put behind them (engine/train/prompts.ts)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .rng import Random
from .texts import Texts


@dataclass(frozen=True)
class Prompt:
    text: str
    #: one at least
    ids: list[int]


def prompt_of(texts: Texts, text: str, config: dict[str, Any]) -> Prompt | None:
    """The beginning of a text: its first characters, encoded, or its first tokens. None of an empty one."""
    if config["unit"] == "characters":
        beginning = text[: config["length"]]
        ids = texts.encode(beginning)
        return Prompt(beginning, ids) if ids else None
    ids = texts.encode(text)[: config["length"]]
    return Prompt(texts.decode(ids), ids) if ids else None


def draw_prompts(
    texts: Texts, sentences: Sequence[str], config: dict[str, Any], count: int | None, random: Random
) -> list[Prompt]:
    """Up to `count` different prompts in random order (None: all)."""
    found: dict[str, Prompt] = {}
    for sentence in random.shuffle(list(sentences)):
        if count is not None and len(found) >= count:
            break
        prompt = prompt_of(texts, sentence, config)
        if prompt:
            found.setdefault(prompt.text, prompt)
    return list(found.values())


def written_text(texts: Texts, prompt: Prompt, continuation: Sequence[int]) -> tuple[str, str]:
    """(prompt and continuation as one text, the continuation alone). Decoded together: a character may be spread over both."""
    whole = texts.decode([*prompt.ids, *continuation])
    if whole.startswith(prompt.text):
        return whole, whole[len(prompt.text) :]
    return whole, texts.decode(continuation)
