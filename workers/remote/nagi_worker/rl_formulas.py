"""TRL's formulas for PPO and DPO, written out in PyTorch on padded arrays [B, T] with masks: what golden_rl.py computes with."""

from __future__ import annotations

import torch
import torch.nn.functional as F

Tensor = torch.Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum()


def masked_whiten(values: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
    """Zero mean (unless not shifted) and unit variance over the valid tokens; the variance is unbiased."""
    mean = masked_mean(values, mask)
    count = mask.sum()
    variance = masked_mean((values - mean) ** 2, mask) * count / (count - 1)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened if shift_mean else whitened + mean) * mask


def token_kl(estimator: str, logprobs: Tensor, reference: Tensor) -> Tensor:
    log_ratio = reference - logprobs
    return -log_ratio if estimator == "k1" else (log_ratio.exp() - 1) - log_ratio


def token_rewards(kl: Tensor, kl_coef: float, scores: Tensor, mask: Tensor) -> Tensor:
    rewards = -kl_coef * kl * mask
    rewards[torch.arange(len(rewards)), mask.long().sum(1) - 1] += scores
    return rewards


def advantages_of(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """(advantages, returns), not whitened. Behind a text values and rewards are 0."""
    values = values * mask
    last, backwards = torch.zeros(len(rewards), dtype=rewards.dtype), []
    width = rewards.shape[1]
    for t in reversed(range(width)):
        following = values[:, t + 1] if t < width - 1 else 0.0
        last = rewards[:, t] + gamma * following - values[:, t] + gamma * lam * last
        backwards.append(last)
    advantages = torch.stack(backwards[::-1], 1) * mask
    return advantages, advantages + values


def losses(
    new: dict[str, Tensor], old: dict[str, Tensor], mask: Tensor, cliprange: float, cliprange_value: float
) -> dict[str, Tensor]:
    """The clipped losses and the statistics of one minibatch, all means over its valid tokens."""
    advantages, returns = old["advantages"], old["returns"]
    clipped_values = torch.clamp(new["values"], old["values"] - cliprange_value, old["values"] + cliprange_value)
    vf_plain, vf_clipped = (new["values"] - returns) ** 2, (clipped_values - returns) ** 2
    difference = (new["logprobs"] - old["logprobs"]) * mask
    ratio = difference.exp()
    pg_plain, pg_clipped = -advantages * ratio, -advantages * torch.clamp(ratio, 1 - cliprange, 1 + cliprange)
    return {
        "policy_loss": masked_mean(torch.max(pg_plain, pg_clipped), mask),
        "value_loss": 0.5 * masked_mean(torch.max(vf_plain, vf_clipped), mask),
        "approxkl": 0.5 * masked_mean(difference**2, mask),
        "clipfrac": masked_mean((pg_clipped > pg_plain).double(), mask),
        "value_clipfrac": masked_mean((vf_clipped > vf_plain).double(), mask),
        "entropy": masked_mean(new["entropies"], mask),
        "ratio": masked_mean(ratio, mask),
    }


def dpo_losses(logps: dict[str, Tensor], beta: float, label_smoothing: float) -> dict[str, Tensor]:
    """TRL's sigmoid loss and metrics from summed log-probabilities."""
    chosen = beta * (logps["chosen"] - logps["reference_chosen"])
    rejected = beta * (logps["rejected"] - logps["reference_rejected"])
    delta = chosen - rejected
    per_pair = -F.logsigmoid(delta) * (1 - label_smoothing) - F.logsigmoid(-delta) * label_smoothing
    return {
        "loss": per_pair.mean(),
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/accuracies": (chosen > rejected).double().mean(),
        "rewards/margins": delta.mean(),
        "logps/chosen": logps["chosen"].mean(),
        "logps/rejected": logps["rejected"].mean(),
    }
