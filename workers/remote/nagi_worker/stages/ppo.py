"""The PPO stage: a language model learns to write what a reward model likes, without going far from where it started.

trl 1.13 has no PPO any more, so this is the worker's own, on accelerate and peft: rollout.py makes texts, ppo_update.py
learns from them, rl.py is the mathematics. Every rank holds the whole policy (DDP); the texts of an update are shared out.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from safetensors.torch import load_file, save_file

from ..errors import NagiError
from . import checkpoints
from .control import PAUSE, RUN, STOP
from .data import job_rows
from .events import Metrics
from .job import FINISHED, PAUSED, STOPPED, Job
from .models import DTYPES, parameter_count, start_model
from .policy import Policy
from .ppo_update import Learner, update_policy
from .prompts import Prompt, draw_prompts
from .rl import Moments, adapt_kl_coef, update_metrics
from .rng import BatchCursor, seed_of, stream
from .rollout import Tools, make_rollout, text_kl, text_metrics, write_texts
from .saving import finish_output, write_adapter
from .schedule import learning_rate
from .scoring import RewardModel
from .sharing import allocated_bytes, device_name
from .training import Context, diverged

MIXED = {"float32": "no", "float16": "fp16", "bfloat16": "bf16"}


@dataclass
class State:
    """What changes from update to update beside the weights; plain data, stored in checkpoints."""

    step: int = 0
    num_tokens: int = 0
    train_seconds: float = 0.0
    seconds: float = 0.0
    kl_coef: float = 0.0
    #: None before it was measured
    baseline: float | None = None
    moments: Moments = field(default_factory=Moments)
    cursor: dict[str, Any] | None = None
    #: of the gradient scaler, where there is one
    scale: float | None = None


@dataclass
class PpoPrompts:
    train: list[Prompt]
    #: the same at every evaluation
    evaluation: list[Prompt]

    @property
    def longest(self) -> int:
        return max(len(prompt.ids) for prompt in [*self.train, *self.evaluation])


def read_prompts(job: Job, texts: Any) -> PpoPrompts:
    """Beginnings of the training texts, in the seed's order, and as many of the validation texts as a rollout has."""
    stage, seed = job.stage, job.seed

    def beginnings(which: str, count: int | None, use: str) -> list[Prompt]:
        sentences = [row.sentence for row in job_rows(job, which)]
        return draw_prompts(texts, sentences, stage["prompt"], count, stream(seed, use))

    evaluation = beginnings("validation", stage["rollout_batch_size"], "samples")
    return PpoPrompts(beginnings("train", None, "prompts"), evaluation)


def refuse_too_long(longest: int, stage: dict[str, Any], positions: int) -> None:
    """Raises config.invalid where prompt and continuation are more than the model has positions for."""
    length = stage["response_length"]
    if longest + length <= positions:
        return
    allowed = max(0, positions - longest)
    problem = f"is {length}; with prompts of up to {longest} tokens the model's {positions} positions leave {allowed}"
    details = {"file": "config", "path": "response_length", "problem": problem, "allowed": f"at most {allowed}"}
    raise NagiError("config.invalid", f"response_length {problem}. Choose a smaller one, or shorter prompts.", details)


def refuse_sharded(job: Job) -> None:
    """Writing texts with a model that is spread over GPUs would gather it for each token. Raises config.invalid."""
    strategy = job.launch["strategy"]
    if job.launch["num_processes"] == 1 or strategy == "ddp":
        return
    problem = (
        f"is {strategy}; PPO keeps the whole policy on every GPU (its adapter is small, the base may be 8bit or 4bit)"
    )
    details = {"file": "launch", "path": "launch.strategy", "problem": problem, "allowed": "ddp"}
    raise NagiError("config.invalid", f"launch.strategy {problem}. Choose ddp.", details)


class PpoStage:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.job, self.stage, self.seed = context.job, context.job.stage, context.job.seed
        refuse_sharded(self.job)
        model, texts = start_model(self.job, "causal-lm")
        if self.job.launch["gradient_checkpointing"]:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.prompts = read_prompts(self.job, texts)
        refuse_too_long(self.prompts.longest, self.stage, model.config.max_position_embeddings)
        self.accelerator = Accelerator(
            mixed_precision=MIXED[self.job.launch["precision"]], cpu=not torch.cuda.is_available()
        )
        device = self.accelerator.device
        if not self.job.launch["quantization"]:
            model.to(device)
        self.policy = Policy(model, self.stage["temperature"]).to(device)
        parameters = list(self.policy.trained().values())
        stage = self.stage
        self.adamw = torch.optim.AdamW(
            parameters,
            lr=stage["learning_rate"],
            betas=(stage["adam_beta1"], stage["adam_beta2"]),
            eps=stage["adam_epsilon"],
            weight_decay=stage["weight_decay"],
        )
        wrapped, optimizer = self.accelerator.prepare(self.policy, self.adamw)
        self.learner = Learner(self.accelerator, wrapped, optimizer, parameters, texts.pad_id)
        reward = RewardModel(self.job.input("reward_model"), DTYPES[self.job.launch["precision"]], device)
        self.tools = Tools(self.policy, reward, texts, device)
        self.total_steps = -(-stage["total_episodes"] // stage["rollout_batch_size"])
        auto = stage["reward_baseline"] == "auto"
        self.state = State(kl_coef=stage["kl_coef"], baseline=None if auto else stage["reward_baseline"])
        self.cursor = BatchCursor(len(self.prompts.train), stream(self.seed, "order"))
        self.evaluated: Metrics | None = None
        self.before = 0.0

    def run(self) -> int:
        """Returns FINISHED, PAUSED or STOPPED."""
        self._say_prepared()
        self._resume()
        ended = self._work()
        if ended == FINISHED:
            self._conclude()
        return ended

    def _say_prepared(self) -> None:
        size, texts = len(self.prompts.train), self.stage["rollout_batch_size"]
        self.context.events.emit(
            "prepared",
            total_steps=self.total_steps,
            steps_per_epoch=-(-size // texts),
            parameters=parameter_count(self.policy.model),
            trainable_parameters=sum(one.numel() for one in self.learner.parameters),
            train_rows=size,
            validation_rows=len(self.prompts.evaluation),
            test_rows=0,
            truncated_rows=0,
            baselines=None,
            adapter=device_name(),
            gpu_bytes=allocated_bytes(self.policy),
        )

    def _work(self) -> int:
        context, state, stage = self.context, self.state, self.stage
        early = context.control.wanted()
        if early in (PAUSE, STOP):
            return PAUSED if early == PAUSE else STOPPED
        if state.step == 0:
            self._measure_baseline()
            self._evaluate(0)
        while state.step < self.total_steps:
            self._update(state.step + 1)
            last = state.step == self.total_steps
            if last or state.step % stage["eval_steps"] == 0:
                self._evaluate(state.step)
            wanted = context.control.wanted()
            if last or wanted != RUN or state.step % stage["save_steps"] == 0:
                self._checkpoint()
            if wanted in (PAUSE, STOP):
                return PAUSED if wanted == PAUSE else STOPPED
        return FINISHED

    def _measure_baseline(self) -> None:
        """What the SFT model's own texts are worth; the policy is still that model."""
        if self.state.baseline is not None:
            return
        shuffled = stream(self.seed, "baseline").shuffle(list(self.prompts.train))
        prompts = list(shuffled[: self.stage["rollout_batch_size"]])
        texts = write_texts(self.tools, prompts, self.stage, seed_of(self.seed, "baseline", 0))
        self.state.baseline = float(texts.scores.mean())
        self._finite({"objective/scores": self.state.baseline}, 0)

    def _finite(self, metrics: Metrics, step: int) -> None:
        for key, value in metrics.items():
            if value is not None and not value - value == 0:
                raise diverged(self.context.events, step, key)

    def _update(self, step: int) -> None:
        state, stage = self.state, self.stage
        begun = time.monotonic()
        texts = stage["rollout_batch_size"]
        prompts = [self.prompts.train[index] for index in self.cursor.across(texts)]
        rollout = make_rollout(
            self.tools,
            prompts,
            stage,
            kl_coef=state.kl_coef,
            baseline=state.baseline or 0.0,
            moments=state.moments,
            seed=seed_of(self.seed, "rollout", step),
        )
        self._finite(rollout.metrics, step)
        rate = learning_rate(stage, self.total_steps, step - 1)
        result = update_policy(
            self.learner,
            rollout,
            stage,
            learning_rate=rate,
            seed=seed_of(self.seed, "minibatches", step),
            diverged=lambda metric: diverged(self.context.events, step, metric),
        )
        seconds = time.monotonic() - begun
        state.moments, state.step = rollout.moments, step
        state.num_tokens += result.tokens
        state.train_seconds += seconds
        if step % stage["logging_steps"] == 0 or step == self.total_steps:
            metrics: Metrics = {
                **rollout.metrics,
                **update_metrics(result.stats),
                "grad_norm": result.grad_norm,
                "lr": rate,
                "learning_rate": rate,
                "episode": step * texts,
                "epoch": step * texts / len(self.prompts.train),
                "eps": step * texts / state.train_seconds,
                "num_tokens": state.num_tokens,
                "tokens_per_second": result.tokens / seconds,
            }
            self.context.events.emit("log", step=step, metrics=metrics)
        if stage["target_kl"] is not None:
            state.kl_coef = adapt_kl_coef(
                state.kl_coef, kl=rollout.kl, target=stage["target_kl"], texts=texts, horizon=stage["kl_horizon"]
            )

    def _evaluate(self, step: int) -> Metrics:
        """The same prompts with the same random numbers at every evaluation: what changes is the policy."""
        texts = write_texts(self.tools, self.prompts.evaluation, self.stage, seed_of(self.seed, "samples", 0))
        plain = text_metrics(texts, self.tools.texts.eos_id)
        plain["kl"] = text_kl(self.tools, texts, self.stage["kl_estimator"])
        metrics = {f"eval_{key}": value for key, value in plain.items()}
        self._finite(metrics, step)
        self.evaluated = metrics
        self.context.events.emit("eval", step=step, metrics=metrics)
        if self.stage["sample_texts"] > 0:
            self.context.events.emit("samples", step=step, texts=texts.written[: self.stage["sample_texts"]])
        return metrics

    def _checkpoint(self) -> None:
        state, scaler = self.state, self.accelerator.scaler
        if PartialState().is_main_process:
            state.seconds = self.context.seconds(self.before)
            state.cursor = self.cursor.state()
            state.scale = scaler.get_scale() if scaler is not None else None
            size = checkpoints.save(self.job, state.step, self._write_tensors, {"ppo": asdict(state)})
            self.context.events.emit("checkpoint", step=state.step, bytes=size)
        PartialState().wait_for_everyone()

    def _write_tensors(self, folder: Path) -> None:
        tensors: dict[str, torch.Tensor] = {}
        for name, parameter in self.policy.trained().items():
            tensors[f"weights.{name}"] = parameter.detach().cpu().contiguous()
            for key, value in self.adamw.state[parameter].items():
                tensors[f"{key}.{name}"] = torch.as_tensor(value).cpu().contiguous()
        save_file(tensors, folder / "state.safetensors")

    def _resume(self) -> None:
        checkpoint = checkpoints.newest(self.job)
        if checkpoint is None:
            return
        stored = checkpoints.load_state(self.job, checkpoint)["ppo"]
        stored["moments"] = Moments(**stored["moments"])
        self.state = replace(self.state, **stored)
        self.before = self.state.seconds
        self.cursor = BatchCursor.restore(len(self.prompts.train), self.state.cursor or {})
        tensors = load_file(checkpoint / "state.safetensors", device=str(self.tools.device))
        for name, parameter in self.policy.trained().items():
            parameter.data.copy_(tensors[f"weights.{name}"])
            moments = {key: tensors[f"{key}.{name}"] for key in ("exp_avg", "exp_avg_sq")}
            # AdamW counts its steps on the CPU.
            self.adamw.state[parameter] = {"step": tensors[f"step.{name}"].cpu(), **moments}
        if self.state.scale is not None and self.accelerator.scaler is not None:
            scaler = self.accelerator.scaler
            scaler.load_state_dict({**scaler.state_dict(), "scale": self.state.scale})
        self.context.events.emit("resumed", step=self.state.step)

    def _conclude(self) -> None:
        state, stage = self.state, self.stage
        # A run that is resumed after its last step has weights but no evaluation.
        evaluation = self.evaluated or self._evaluate(state.step)
        metrics: Metrics = {
            **evaluation,
            "objective/reward_baseline": state.baseline,
            "objective/kl_coef": state.kl_coef,
            "episode": state.step * stage["rollout_batch_size"],
            "num_tokens": state.num_tokens,
            "train_runtime": state.train_seconds,
        }
        finish_output(self.job, "adapter", lambda folder: write_adapter(self.policy.model, self.job, folder), metrics)
        values = {"value": state.baseline, "texts": stage["rollout_batch_size"]}
        notes = [{"code": "reward_baseline_auto", "values": values}] if stage["reward_baseline"] == "auto" else []
        self.context.events.emit("result", step=state.step, metrics=metrics, calibration=[], samples=[], notes=notes)


def run_ppo(context: Context) -> int:
    """Runs the stage. Returns FINISHED, PAUSED or STOPPED."""
    return PpoStage(context).run()
