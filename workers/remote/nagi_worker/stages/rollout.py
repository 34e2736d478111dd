"""The first half of a PPO update: continue prompts, have them scored, measure what the policy and the reference thought of
every token, and turn that into advantages. Nothing is trained here; the work is spread over the ranks, the result is whole
on each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .events import Metrics
from .generate import Continuation, Decoding, generate, uniforms
from .policy import Completion, Policy, pad_completions
from .prompts import Prompt, written_text
from .rl import (
    Moments,
    advantages_of,
    distinct2,
    explained_variance,
    shape_scores,
    starts_of,
    text_sums,
    token_kl,
    token_rewards,
    whiten,
)
from .scoring import RewardModel
from .sharing import map_shared
from .texts import Texts

Tensor = torch.Tensor
#: texts that are continued, and texts that are measured, at a time on one rank
GENERATED, MEASURED = 64, 16


@dataclass(frozen=True)
class Tools:
    policy: Policy
    reward: RewardModel
    texts: Texts
    device: torch.device


@dataclass(frozen=True)
class ScoredTexts:
    completions: list[Completion]
    #: as they came from the reward model, float64
    scores: Tensor
    finished: list[bool]
    #: `samples` events' form
    written: list[dict[str, Any]]


@dataclass(frozen=True)
class Rollout:
    texts: ScoredTexts
    starts: list[int]
    #: logprobs, values, advantages, returns of every chosen token [N], float64
    tokens: dict[str, Tensor]
    #: nats a text, mean
    kl: float
    moments: Moments
    metrics: Metrics


def continue_prompts(
    model: Any, texts: Texts, prompts: Sequence[Prompt], decoding: Decoding, seed: int
) -> list[Continuation]:
    """One continuation a prompt, in their order."""
    random = uniforms(len(prompts), decoding.max_new_tokens, seed)
    positions = model.config.max_position_embeddings

    def work(indices: Sequence[int]) -> list[Continuation]:
        some = [prompts[index].ids for index in indices]
        return generate(
            model, some, decoding, random[list(indices)], eos_id=texts.eos_id, pad_id=texts.pad_id, positions=positions
        )

    return map_shared(range(len(prompts)), GENERATED, work)


def write_texts(tools: Tools, prompts: Sequence[Prompt], stage: dict[str, Any], seed: int) -> ScoredTexts:
    """Continues prompts with the policy and scores the whole texts, re-encoded by the reward model's own tokenizer."""
    decoding = Decoding(stage["response_length"], stage["temperature"])
    model = tools.policy.model
    continuations = continue_prompts(model, tools.texts, prompts, decoding, seed)
    pairs = [written_text(tools.texts, prompt, one.ids) for prompt, one in zip(prompts, continuations, strict=True)]
    scores = tools.reward.score([whole for whole, _ in pairs])
    written = [
        {"prompt": prompt.text, "text": text, "reward": score, "tokens": len(one.ids), "finished": one.finished}
        for prompt, (_, text), score, one in zip(prompts, pairs, scores, continuations, strict=True)
    ]
    return ScoredTexts(
        [
            Completion([*prompt.ids, *one.ids], len(prompt.ids))
            for prompt, one in zip(prompts, continuations, strict=True)
        ],
        torch.tensor(scores, dtype=torch.float64),
        [one.finished for one in continuations],
        written,
    )


def text_metrics(texts: ScoredTexts, eos_id: int) -> Metrics:
    """What is said about texts whatever they are for."""
    count = len(texts.completions)
    return {
        "scores": float(texts.scores.mean()),
        "response_length": sum(len(one.chosen) for one in texts.completions) / count,
        "share_cut_off": sum(not one for one in texts.finished) / count,
        "distinct2": distinct2([[token for token in one.chosen if token != eos_id] for one in texts.completions]),
    }


def measure(tools: Tools, completions: Sequence[Completion], adapter: bool) -> tuple[Tensor, Tensor]:
    """(log-probabilities, values) of every chosen token, text after text, float64, by the policy or the reference."""
    policy = tools.policy
    policy.eval()

    def work(batch: Sequence[Completion]) -> list[tuple[list[float], list[float]]]:
        output = policy(**pad_completions(batch, tools.texts.pad_id, tools.device), adapter=adapter)
        lengths = [len(one.chosen) for one in batch]
        logprobs, values = (output[key].double().cpu().split(lengths) for key in ("logprobs", "values"))
        return [(a.tolist(), b.tolist()) for a, b in zip(logprobs, values, strict=True)]

    measured = map_shared(completions, MEASURED, work)
    logprobs, values = (
        torch.tensor([x for one in measured for x in one[part]], dtype=torch.float64) for part in (0, 1)
    )
    return logprobs, values


def text_kl(tools: Tools, texts: ScoredTexts, estimator: str) -> float:
    """Nats a text that the policy is away from the reference, on these texts of its own."""
    policy, _ = measure(tools, texts.completions, True)
    reference, _ = measure(tools, texts.completions, False)
    starts = starts_of([len(one.chosen) for one in texts.completions])
    return float(text_sums(token_kl(estimator, policy, reference), starts).mean())


def make_rollout(
    tools: Tools,
    prompts: Sequence[Prompt],
    stage: dict[str, Any],
    *,
    kl_coef: float,
    baseline: float,
    moments: Moments,
    seed: int,
) -> Rollout:
    """Texts for prompts with everything that an update needs."""
    return weigh(
        tools, write_texts(tools, prompts, stage, seed), stage, kl_coef=kl_coef, baseline=baseline, moments=moments
    )


def weigh(
    tools: Tools, texts: ScoredTexts, stage: dict[str, Any], *, kl_coef: float, baseline: float, moments: Moments
) -> Rollout:
    """What the texts teach. The reference's log-probabilities are computed here, once for all epochs."""
    starts = starts_of([len(one.chosen) for one in texts.completions])
    logprobs, values = measure(tools, texts.completions, True)
    reference, _ = measure(tools, texts.completions, False)
    moments = moments.with_batch(texts.scores)
    shaped = shape_scores(
        texts.scores,
        texts.finished,
        baseline=baseline,
        scale=moments.deviation if stage["reward_scaling"] else None,
        clip=stage["reward_clip"],
        penalty=stage["missing_eos_penalty"],
    )
    kl = token_kl(stage["kl_estimator"], logprobs, reference)
    rewards = token_rewards(kl, kl_coef, shaped, starts)
    if stage["whiten_rewards"]:
        rewards = whiten(rewards, shift_mean=False)
    advantages, returns = advantages_of(rewards, values, starts, stage["gamma"], stage["lam"])
    per_text = float(text_sums(kl, starts).mean())
    plain = text_metrics(texts, tools.texts.eos_id)
    mean_score = plain.pop("scores")
    metrics: Metrics = {
        "objective/kl": per_text,
        "objective/entropy": -float(text_sums(logprobs, starts).mean()),
        "objective/non_score_reward": -kl_coef * per_text,
        "objective/rlhf_reward": -kl_coef * per_text + float(shaped.mean()),
        "objective/scores": mean_score,
        "objective/kl_coef": kl_coef,
        "objective/reward_baseline": baseline,
        "val/explained_variance": explained_variance(values, returns),
        "val/num_eos_tokens": sum(texts.finished),
        **plain,
    }
    tokens = {"logprobs": logprobs, "values": values, "advantages": whiten(advantages), "returns": returns}
    return Rollout(texts, starts, tokens, per_text, moments, metrics)
