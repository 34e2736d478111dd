"""Rewards of texts by a classifier: one rule for training, evaluation, PPO and the comparison of models.

A reward is the logit of a model with one label, and "positive" minus "negative" of one with two. (A library that is handed
such a model takes `logits[:, 0]`, which is the negative class: the reward would be upside down.)
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import torch

from ..errors import NagiError
from .job import Input
from .models import REWARD_FACTS, folder_of, load_reward, read_config
from .sharing import map_alone, map_shared
from .texts import Texts

#: texts a forward pass
BATCH = 32


def pad_texts(
    texts: Sequence[Sequence[int]], pad_id: int, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """input_ids and attention_mask [B, T], filled at the end."""
    width = max(len(text) for text in texts)
    ids = [list(text) + [pad_id] * (width - len(text)) for text in texts]
    mask = [[1] * len(text) + [0] * (width - len(text)) for text in texts]
    return {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(mask, device=device)}


def rewards_of(logits: torch.Tensor, positive: int = 1) -> torch.Tensor:
    """Rewards [B] of logits [B, 1] or [B, 2]. @param positive the column of that label"""
    if logits.shape[-1] == 1:
        return logits[:, 0]
    return logits[:, positive] - logits[:, 1 - positive]


def positive_label(config: Any) -> int:
    """The column of "positive", by the names of the labels; the second where they say nothing. Raises model.bad_config."""
    names = [str(config.id2label.get(index, "")).lower() for index in range(config.num_labels)]
    if config.num_labels == 1:
        return 0
    if config.num_labels != 2:
        problem = f"has {config.num_labels} labels; a reward model has one, or negative and positive"
        details = {"file": "config.json", "field": "id2label", "problem": problem}
        raise NagiError("model.bad_config", f'config.json: "id2label" {problem}', details)
    found = [index for index, name in enumerate(names) if name.startswith("pos")]
    return found[0] if found else 1


def score_ids(
    model: Any,
    texts: Sequence[Sequence[int]],
    *,
    pad_id: int,
    positive: int,
    device: torch.device,
    alone: bool = False,
) -> list[float]:
    """Rewards of texts in token ids, EOS included, in their order; spread over the ranks unless they are this rank's own."""

    def work(batch: Sequence[Sequence[int]]) -> list[float]:
        logits = model(**pad_texts(batch, pad_id, device)).logits
        return rewards_of(logits.float(), positive).double().tolist()

    return map_alone(texts, BATCH, work) if alone else map_shared(texts, BATCH, work)


class RewardModel:
    """A stored reward model, loaded by transformers; also one that was trained in the browser."""

    def __init__(self, source: Input, dtype: torch.dtype, device: torch.device) -> None:
        folder = folder_of(source)
        config = read_config(folder)
        self.texts = Texts(folder)
        self.positive = positive_label(config)
        self.device = device
        facts = json.loads((folder / "config.json").read_text(encoding="utf-8")).get(REWARD_FACTS, {})
        self.max_length = min(facts.get("max_length", math.inf), config.max_position_embeddings)
        self.model = load_reward(source, dtype).to(device).eval()
        # Without it transformers refuses batches; with EOS as padding it would read the wrong token.
        self.model.config.pad_token_id = self.texts.pad_id

    def score(self, texts: Sequence[str], *, alone: bool = False) -> list[float]:
        """Rewards of texts in their order, each encoded anew and closed by EOS. Every rank must ask, and gets all.

        @param alone the texts are this rank's own
        """
        ids = [self.texts.encode_text(text, int(self.max_length))[0] for text in texts]
        rule = {"pad_id": self.texts.pad_id, "positive": self.positive, "device": self.device}
        return score_ids(self.model, ids, **rule, alone=alone)
