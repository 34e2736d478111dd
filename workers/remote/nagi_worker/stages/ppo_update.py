"""The second half of a PPO update: several epochs of minibatches over one rollout, on all ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import reduce

from .policy import Completion, pad_completions
from .rl import ppo_losses
from .rng import Random
from .rollout import Rollout

Tensor = torch.Tensor
#: largest micro-batch in tokens, filler included, unless one text alone is longer: bounds the memory of activations
MICRO_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class UpdateResult:
    #: one a minibatch, in order
    stats: list[dict[str, float]]
    #: mean over the minibatches, before clipping; None where all steps were left out
    grad_norm: float | None
    #: tokens trained on, prompts and repetitions included
    tokens: int


@dataclass(frozen=True)
class Learner:
    """@param model the prepared (wrapped) policy"""

    accelerator: Accelerator
    model: Any
    optimizer: Any
    parameters: list[torch.nn.Parameter]
    pad_id: int


def minibatches(texts: int, parts: int, random: Random) -> list[list[int]]:
    """Texts of each minibatch of an epoch: a random order, cut into parts of equal size (ppo-update.ts)."""
    order = list(random.shuffle(list(range(texts))))
    size = -(-texts // min(parts, texts))
    return [order[first : first + size] for first in range(0, texts, size)]


def micro_batches(texts: Sequence[int], completions: Sequence[Completion]) -> list[list[int]]:
    """Texts in order, in as many groups as it takes for each to hold at most MICRO_BATCH_TOKENS with its filler."""
    groups: list[list[int]] = [[]]
    longest = 0
    for text in texts:
        length = len(completions[text].ids)
        if groups[-1] and max(longest, length) * (len(groups[-1]) + 1) > MICRO_BATCH_TOKENS:
            groups.append([])
            longest = 0
        groups[-1].append(text)
        longest = max(longest, length)
    return groups


def update_policy(
    learner: Learner,
    rollout: Rollout,
    stage: dict[str, Any],
    *,
    learning_rate: float,
    seed: int,
    diverged: Callable[[str], Exception],
) -> UpdateResult:
    """Takes num_ppo_epochs * num_mini_batches optimizer steps. Raises `diverged(metric)` where a number is not finite."""
    for group in learner.optimizer.param_groups:
        group["lr"] = learning_rate
    learner.model.train()
    # Of the adapter's dropout, if it has any: a resumed run draws the same.
    torch.manual_seed(seed + learner.accelerator.process_index)
    completions = rollout.texts.completions
    stats: list[dict[str, float]] = []
    norms: list[float] = []
    tokens = 0
    for epoch in range(stage["num_ppo_epochs"]):
        for texts in minibatches(len(completions), stage["num_mini_batches"], Random.seeded(seed, epoch)):
            one, norm = _step(learner, rollout, texts, stage)
            if not math.isfinite(one["policy_loss"] + stage["vf_coef"] * one["value_loss"]):
                raise diverged("loss")
            # float16: where the scaled gradient overflows the step is left out and the scale halved.
            if not getattr(learner.optimizer, "step_was_skipped", False):
                if not math.isfinite(norm):
                    raise diverged("grad_norm")
                norms.append(norm)
            stats.append(one)
            tokens += sum(len(completions[text].ids) for text in texts)
    return UpdateResult(stats, sum(norms) / len(norms) if norms else None, tokens)


def _step(
    learner: Learner, rollout: Rollout, texts: Sequence[int], stage: dict[str, Any]
) -> tuple[dict[str, float], float]:
    """One optimizer step on a minibatch: (its statistics, the gradient's norm before clipping), the same on every rank."""
    accelerator = learner.accelerator
    completions, starts = rollout.texts.completions, rollout.starts
    total = sum(starts[text + 1] - starts[text] for text in texts)
    own = list(texts[accelerator.process_index :: accelerator.num_processes])
    # A rank without a text of its own still takes part in the exchange of gradients.
    weight = 1.0 if own else 0.0
    groups = micro_batches(own or texts[:1], completions)
    sums: dict[str, Tensor] = {}
    learner.optimizer.zero_grad()
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        with nullcontext() if last else accelerator.no_sync(learner.model):
            losses = _losses(learner, rollout, group, stage, total)
            loss = losses["policy_loss"] + stage["vf_coef"] * losses["value_loss"]
            # Gradients are averaged over the ranks; the loss is a mean over the tokens of all of them.
            accelerator.backward(weight * accelerator.num_processes * loss)
        for key, value in losses.items():
            sums[key] = sums.get(key, 0) + weight * value.detach().double()
    limit = stage["max_grad_norm"] or float("inf")
    norm = accelerator.clip_grad_norm_(learner.parameters, limit)
    learner.optimizer.step()
    keys = sorted(sums)
    shared = reduce(torch.stack([sums[key] for key in keys]), reduction="sum").tolist()
    return dict(zip(keys, shared, strict=True)), float(norm)


def _losses(
    learner: Learner, rollout: Rollout, group: Sequence[int], stage: dict[str, Any], total: int
) -> dict[str, Tensor]:
    device = learner.accelerator.device
    completions, starts = rollout.texts.completions, rollout.starts
    new = learner.model(**pad_completions([completions[text] for text in group], learner.pad_id, device))
    places = torch.cat([torch.arange(starts[text], starts[text + 1]) for text in group])
    old = {key: values[places].to(device, new["logprobs"].dtype) for key, values in rollout.tokens.items()}
    return ppo_losses(new, old, stage["cliprange"], stage["cliprange_value"], total)
