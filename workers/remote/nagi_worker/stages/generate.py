"""Continuations of many prompts at once, with a KV cache.

Every text has random numbers of its own, drawn beforehand from the seed: what a prompt is continued with does not depend on
the batch it is in, on how many processes share the work, or on what was drawn before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache


@dataclass(frozen=True)
class Decoding:
    max_new_tokens: int
    #: 0: greedy
    temperature: float
    #: 0: off
    top_k: int = 0
    #: 1: off
    top_p: float = 1.0


@dataclass(frozen=True)
class Continuation:
    #: new tokens, the closing EOS included where it was written
    ids: list[int]
    finished: bool


def uniforms(count: int, tokens: int, seed: int) -> torch.Tensor:
    """Numbers in [0, 1) [texts, tokens], one sequence a text."""
    rows = [
        torch.rand(tokens, generator=torch.Generator().manual_seed(seed * 1_000_003 + text), dtype=torch.float64)
        for text in range(count)
    ]
    return torch.stack(rows)


def choose(logits: torch.Tensor, uniform: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """One token a row. @param logits [B, V]; @param uniform [B], float64. By the inverse of the distribution function."""
    if decoding.temperature == 0:
        return logits.argmax(-1)
    scaled = logits.double() / decoding.temperature
    if 0 < decoding.top_k < scaled.shape[-1]:
        limit = scaled.topk(decoding.top_k).values[:, -1:]
        scaled = scaled.masked_fill(scaled < limit, -torch.inf)
    probabilities = scaled.softmax(-1)
    if decoding.top_p < 1:
        ordered, order = probabilities.sort(-1, descending=True)
        dropped = ordered.cumsum(-1) - ordered >= decoding.top_p
        probabilities = probabilities.masked_fill(dropped.gather(-1, order.argsort(-1)), 0)
    cumulative = probabilities.cumsum(-1)
    # Of a last number that rounding put beyond the sum, the last token that has a share.
    at = uniform.to(cumulative.device)[:, None] * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, at, right=True).squeeze(-1)
    last = (probabilities > 0).double().cumsum(-1).argmax(-1)
    return torch.minimum(chosen, last)


@torch.no_grad()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    random: torch.Tensor,
    *,
    eos_id: int,
    pad_id: int,
    positions: int,
) -> list[Continuation]:
    """Continues prompts of one token at least. A text ends with EOS, with max_new_tokens, or with the model's positions.

    @param random [texts, max_new_tokens] of `uniforms`
    """
    was_training = model.training
    model.eval()
    width = max(len(prompt) for prompt in prompts)
    device = next(model.parameters()).device
    # Left padding: the last column is every prompt's last token. Positions are said, or the filler would be counted.
    ids = torch.tensor([[pad_id] * (width - len(one)) + list(one) for one in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts], device=device)
    room = torch.tensor([min(decoding.max_new_tokens, positions - len(one)) for one in prompts], device=device)
    cache = DynamicCache(config=model.config)
    position = (mask.cumsum(1) - 1).clamp(min=0)
    done = room <= 0
    written: list[torch.Tensor] = []
    finished = torch.zeros_like(done)
    inputs = ids
    for step in range(int(room.max())):
        output = model(
            input_ids=inputs, attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        )  # fmt: skip
        token = choose(output.logits[:, -1].float(), random[:, step], decoding)
        token = torch.where(done, torch.full_like(token, pad_id), token)
        written.append(torch.where(done, torch.full_like(token, -1), token))
        ended = ~done & (token == eos_id)
        finished |= ended
        done = done | ended | (room <= step + 1)
        if bool(done.all()):
            break
        inputs = token[:, None]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
        position = position[:, -1:] + 1
    if was_training:
        model.train()
    rows = torch.stack(written, 1).tolist() if written else [[] for _ in prompts]
    kept = [[token for token in row if token >= 0] for row in rows]
    return [Continuation(row, bool(end)) for row, end in zip(kept, finished.tolist(), strict=True)]
