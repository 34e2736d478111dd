"""A `ppo` stage by trl's RLOO (launch.algorithm "rloo"): the maintained alternative, on the same settings.

REINFORCE with the mean reward of a prompt's other continuations as its baseline: no value head, no reward_baseline. Settings
that RLOO has not (value head, gamma, lam, adaptive KL, reward scaling) are left aside, and the result says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from trl import RLOOConfig, RLOOTrainer

from ..errors import NagiError
from .adapters import train_in_f32
from .events import Metrics
from .job import FINISHED, Job
from .models import DTYPES, parameter_count, start_model
from .policy import Policy
from .ppo import PpoPrompts, read_prompts, refuse_sharded, refuse_too_long
from .rng import seed_of
from .rollout import Tools, text_kl, text_metrics, write_texts
from .saving import finish_output, write_adapter
from .scoring import RewardModel
from .sft import processing_of
from .sharing import allocated_bytes, device_name
from .texts import Texts
from .training import Context, StageCallback, StageTrainerMixin, diverged, summary, train, training_arguments

#: continuations of a prompt that are held against each other: the largest of these that divides a minibatch
GROUPS = (8, 4, 2)
LEFT_ASIDE = "reward_baseline, reward_scaling, whiten_rewards, target_kl, gamma, lam, cliprange_value, vf_coef"
LOG_KEYS = (
    "reward",
    "reward_std",
    "kl",
    "entropy",
    "frac_reward_zero_std",
    "clip_ratio/region_mean",
    "completions/mean_length",
    "completions/clipped_ratio",
)


class NagiRLOOTrainer(StageTrainerMixin, RLOOTrainer):
    """trl's RLOOTrainer, told as the studio's stages are."""


class RlooCallback(StageCallback):
    """The figures that the studio's charts know by PPO's names are said by these as well."""

    #: trl's count of tokens at the last step
    _counted = 0.0

    def _account(self, step: int, logs: dict[str, Any]) -> None:
        if "num_tokens" in logs:
            # Of all ranks together: said by one of them.
            if PartialState().is_main_process:
                self.trainer.step_tokens = int(logs["num_tokens"] - self._counted)
            self._counted = logs["num_tokens"]
        super()._account(step, logs)

    def _tell(self, step: int, logs: dict[str, Any]) -> None:
        if "reward" in logs:
            logs["objective/scores"] = logs["reward"]
        if "kl" in logs and "completions/mean_length" in logs:
            # trl's figure is a token's, the studio's a text's.
            logs["objective/kl"] = logs["kl"] * logs["completions/mean_length"]
        super()._tell(step, logs)


def shape_of_steps(job: Job, world: int) -> tuple[int, int, int]:
    """(texts a minibatch on one process, continuations a prompt, optimizer steps in all). Raises config.invalid."""
    stage = job.stage
    texts, parts = stage["rollout_batch_size"], stage["num_mini_batches"]
    each, rest = divmod(texts, parts * world)
    group = next((one for one in GROUPS if texts % one == 0), None)
    if rest or each == 0 or group is None:
        problem = f"is {texts}, which {parts} minibatches on {world} processes do not divide into equal parts of pairs"
        details = {
            "file": "config",
            "path": "rollout_batch_size",
            "problem": problem,
            "allowed": f"multiples of {2 * parts * world}",
        }
        raise NagiError("config.invalid", f"rollout_batch_size {problem}; RLOO needs that.", details)
    updates = -(-stage["total_episodes"] // texts)
    return each, group, updates * parts * stage["num_ppo_epochs"]


def reward_function(reward: RewardModel, texts: Texts, penalty: float | None) -> Any:
    """What trl asks for rewards: a function, because of a classifier it would take `logits[:, 0]`, the negative class."""

    def rewards(
        prompts: Sequence[str], completions: Sequence[str], completion_ids: Sequence[Sequence[int]], **_: Any
    ) -> list[float]:
        whole = [texts.decode([*texts.encode(one), *ids]) for one, ids in zip(prompts, completion_ids, strict=True)]
        scores = reward.score(whole, alone=True)
        open_ended = [texts.eos_id not in ids for ids in completion_ids]
        return [score - (penalty or 0.0) * cut for score, cut in zip(scores, open_ended, strict=True)]

    return rewards


def run_rloo(context: Context) -> int:
    """Runs the stage. Returns FINISHED, PAUSED or STOPPED."""
    job = context.job
    stage = job.stage
    refuse_sharded(job)
    model, texts = start_model(job, "causal-lm")
    prompts = read_prompts(job, texts)
    refuse_too_long(prompts.longest, stage, model.config.max_position_embeddings)
    each, group, total_steps = shape_of_steps(job, job.launch["num_processes"])
    batches = {"per_device_train_batch_size": each, "gradient_accumulation_steps": 1}
    arguments = RLOOConfig(
        **training_arguments(replace(job, stage={**stage, **batches}), total_steps),
        num_generations=group,
        steps_per_generation=stage["num_mini_batches"],
        num_iterations=stage["num_ppo_epochs"],
        max_completion_length=stage["response_length"],
        temperature=stage["temperature"],
        top_k=0,
        beta=stage["kl_coef"],
        epsilon=stage["cliprange"],
        reward_clip_range=(-stage["reward_clip"], stage["reward_clip"]) if stage["reward_clip"] else None,
        shuffle_dataset=False,
        disable_dropout=False,
    )
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    reward = RewardModel(job.input("reward_model"), DTYPES[job.launch["precision"]], device)
    trainer = NagiRLOOTrainer(
        model=model,
        reward_funcs=reward_function(reward, texts, stage["missing_eos_penalty"]),
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": one.text} for one in prompts.train]),
        processing_class=processing_of(texts),
    )
    train_in_f32(model)
    policy = Policy(trainer.model, stage["temperature"]).to(device)
    judge = RlooJudge(context, Tools(policy, reward, texts, device), prompts)
    trainer.evaluation = judge.evaluate
    per_epoch = max(1, len(prompts.train) * group // stage["rollout_batch_size"]) * stage["num_mini_batches"]
    callback = RlooCallback(context, trainer, per_epoch, (*LOG_KEYS, "objective/scores", "objective/kl"))
    prepared = {
        "total_steps": total_steps,
        "steps_per_epoch": per_epoch,
        "parameters": parameter_count(model),
        "trainable_parameters": sum(one.numel() for one in model.parameters() if one.requires_grad),
        "train_rows": len(prompts.train),
        "validation_rows": len(prompts.evaluation),
        "test_rows": 0,
        "truncated_rows": 0,
        "baselines": None,
        "adapter": device_name(),
        "gpu_bytes": allocated_bytes(model),
    }
    ended = train(context, trainer, callback, prepared)
    if ended != FINISHED:
        return ended
    if not judge.metrics:  # resumed after its last step
        judge.evaluate(total_steps)
    metrics: Metrics = {**judge.metrics, **summary(callback, total_steps, total_steps, 0)}
    adapted = trainer.accelerator.unwrap_model(trainer.model)
    finish_output(job, "adapter", lambda folder: write_adapter(adapted, job, folder), metrics)
    notes = [{"code": "rloo_left_aside", "values": {"settings": LEFT_ASIDE, "generations": group}}]
    context.events.emit("result", step=total_steps, metrics=metrics, calibration=[], samples=[], notes=notes)
    return FINISHED


class RlooJudge:
    """The same evaluation as PPO's, so that both can be laid beside each other."""

    def __init__(self, context: Context, tools: Tools, prompts: PpoPrompts) -> None:
        self._context, self._tools, self._prompts = context, tools, prompts
        self.metrics: Metrics = {}

    def evaluate(self, step: int) -> Metrics:
        job = self._context.job
        written = write_texts(self._tools, self._prompts.evaluation, job.stage, seed_of(job.seed, "samples", 0))
        plain = text_metrics(written, self._tools.texts.eos_id)
        plain["kl"] = text_kl(self._tools, written, job.stage["kl_estimator"])
        self.metrics = {f"eval_{key}": value for key, value in plain.items()}
        for key, value in self.metrics.items():
            if value is not None and not value - value == 0:
                raise diverged(self._context.events, step, key)
        self._context.events.emit("eval", step=step, metrics=self.metrics)
        if job.stage["sample_texts"] > 0:
            texts = written.written[: job.stage["sample_texts"]]
            self._context.events.emit("samples", step=step, texts=texts)
        return self.metrics
