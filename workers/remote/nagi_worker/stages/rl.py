"""The pure mathematics of PPO on ragged arrays: tokens of all texts one after another, no padding (engine/train/rl/).

float64 on the CPU. `starts` [texts + 1] says where each text begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

Tensor = torch.Tensor
EPSILON = 1e-8
#: one step changes the KL coefficient by at most this share of (texts / horizon)
LARGEST_ERROR = 0.2


def starts_of(lengths: Sequence[int]) -> list[int]:
    """Raises ValueError for a text without tokens."""
    if any(length < 1 for length in lengths):
        raise ValueError("a continuation has no token")
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    return starts


def text_sums(values: Tensor, starts: Sequence[int]) -> Tensor:
    return torch.stack([values[first:end].sum() for first, end in pairwise(starts)])


def token_kl(estimator: str, logprobs: Tensor, reference: Tensor) -> Tensor:
    """Estimates of KL(policy || reference) at the sampled tokens: k1 or k3 (Schulman 2020)."""
    log_ratio = reference - logprobs
    return -log_ratio if estimator == "k1" else torch.expm1(log_ratio) - log_ratio


def adapt_kl_coef(coefficient: float, *, kl: float, target: float, texts: int, horizon: int) -> float:
    """The next coefficient of the KL penalty (Ziegler et al. 2019)."""
    error = min(LARGEST_ERROR, max(-LARGEST_ERROR, kl / target - 1))
    return coefficient * (1 + error * texts / horizon)


def token_rewards(kl: Tensor, kl_coef: float, scores: Tensor, starts: Sequence[int]) -> Tensor:
    """The KL penalty everywhere, a text's score at its last token."""
    rewards = -kl_coef * kl
    rewards[torch.tensor(starts[1:]) - 1] += scores
    return rewards


def whiten(values: Tensor, shift_mean: bool = True) -> Tensor:
    """Variance 1 (unbiased), and mean 0 unless it is not shifted; a single value stays."""
    if len(values) < 2:
        return values.clone()
    center = values.mean()
    whitened = (values - center) * torch.rsqrt(values.var() + EPSILON)
    return whitened if shift_mean else whitened + center


def advantages_of(
    rewards: Tensor, values: Tensor, starts: Sequence[int], gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """(advantages, not whitened; returns) by generalised advantage estimation, each text on its own."""
    advantages = torch.zeros_like(rewards)
    for first, end in pairwise(starts):
        following = advantage = 0.0
        for t in range(end - 1, first - 1, -1):
            value = float(values[t])
            advantage = float(rewards[t]) + gamma * following - value + gamma * lam * advantage
            advantages[t], following = advantage, value
    return advantages, advantages + values


def explained_variance(values: Tensor, returns: Tensor) -> float | None:
    """1 where the value head knows the returns, 0 where it does as well as their mean; None where they do not vary."""
    variance = float(((returns - returns.mean()) ** 2).mean())
    return 1 - float(((returns - values) ** 2).mean()) / variance if variance > 0 else None


@dataclass(frozen=True)
class Moments:
    """Count, mean and (biased) variance of all rewards so far."""

    count: float = 0.0
    mean: float = 0.0
    variance: float = 0.0

    def with_batch(self, batch: Tensor) -> Moments:
        """Exact, no matter how the numbers are cut into batches (Chan et al.)."""
        added, center = len(batch), float(batch.mean())
        spread = float(((batch - center) ** 2).sum())
        count, delta = self.count + added, center - self.mean
        total = self.variance * self.count + spread + delta**2 * self.count * added / count
        return Moments(count, self.mean + delta * added / count, total / count)

    @property
    def deviation(self) -> float | None:
        """Unbiased; None before the numbers differ."""
        if self.count > 1 and self.variance > 0:
            return (self.variance * self.count / (self.count - 1)) ** 0.5
        return None


def shape_scores(
    scores: Tensor,
    finished: Sequence[bool],
    *,
    baseline: float,
    scale: float | None,
    clip: float,
    penalty: float | None,
) -> Tensor:
    """The scores PPO optimises: baseline, scale, clipping (0: off), and what a text without EOS loses."""
    shaped = (scores - baseline) / (scale or 1)
    if clip > 0:
        shaped = shaped.clamp(-clip, clip)
    return shaped - (penalty or 0) * (~torch.tensor(list(finished), dtype=torch.bool)).double()


def distinct2(texts: Sequence[Sequence[int]]) -> float | None:
    """Different pairs of neighbouring tokens / all of them; None where no text has two tokens."""
    pairs = [pair for text in texts for pair in pairwise(text)]
    return len(set(pairs)) / len(pairs) if pairs else None


def ppo_losses(
    new: dict[str, Tensor], old: dict[str, Tensor], cliprange: float, cliprange_value: float, tokens: Tensor | float
) -> dict[str, Tensor]:
    """The clipped losses and the statistics of some tokens [n]: sums / `tokens`, those of the whole minibatch.

    @param new logprobs, values, entropies of the update's forward pass
    @param old logprobs, values, advantages, returns of the rollout
    """
    advantages, returns = old["advantages"], old["returns"]
    kept = torch.clamp(new["values"], old["values"] - cliprange_value, old["values"] + cliprange_value)
    plain_error, kept_error = (new["values"] - returns) ** 2, (kept - returns) ** 2
    log_ratio = new["logprobs"] - old["logprobs"]
    ratio = log_ratio.exp()
    plain, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - cliprange, 1 + cliprange)
    return {
        "policy_loss": torch.max(plain, clipped).sum() / tokens,
        "value_loss": 0.5 * torch.max(plain_error, kept_error).sum() / tokens,
        "approxkl": 0.5 * (log_ratio**2).sum() / tokens,
        "clipfrac": (clipped > plain).to(ratio.dtype).sum() / tokens,
        "value_clipfrac": (kept_error > plain_error).to(ratio.dtype).sum() / tokens,
        "entropy": new["entropies"].sum() / tokens,
        "ratio": ratio.sum() / tokens,
    }


def update_metrics(stats: Sequence[dict[str, float]]) -> dict[str, float | None]:
    """TRL's metrics of all minibatches of an update."""

    def mean(key: str) -> float:
        return sum(one[key] for one in stats) / len(stats)

    ratio = mean("ratio")
    spread = sum((one["ratio"] - ratio) ** 2 for one in stats)
    return {
        "loss/policy_avg": mean("policy_loss"),
        "loss/value_avg": mean("value_loss"),
        "policy/approxkl_avg": mean("approxkl"),
        "policy/clipfrac_avg": mean("clipfrac"),
        "val/clipfrac_avg": mean("value_clipfrac"),
        "policy/entropy_avg": mean("entropy"),
        "val/ratio": ratio,
        "val/ratio_var": spread / (len(stats) - 1) if len(stats) > 1 else None,
    }
