"""The DPO stage on trl's DPOTrainer: from pairs, which of two answers is preferred. The policy is an adapter, the reference
the same weights without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from peft import PeftModel
from trl import DPOConfig, DPOTrainer

from ..errors import NagiError
from .adapters import train_in_f32
from .data import draw_pairs, hold_back, job_preferences, job_rows
from .evaluate import completion_logps
from .events import Metrics
from .job import FINISHED, Job
from .models import parameter_count, start_model
from .policy import Completion
from .prompts import prompt_of
from .rng import EpochOrder, stream
from .samples import TextSamples
from .saving import finish_output, write_adapter
from .scoring import pad_texts
from .sft import processing_of
from .sharing import allocated_bytes, device_name
from .texts import Texts
from .training import (
    Context,
    EpochSampler,
    OrderedTrainerMixin,
    StageCallback,
    diverged,
    steps_of,
    summary,
    train,
    training_arguments,
)

Sides = tuple[list[int], list[int]]
#: of a step, in its log event
LOG_KEYS = (
    "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected",
)  # fmt: skip


class PairData:
    """The pairs of a stage: [chosen, rejected] completions, cut to max_length (engine/train/dpo-pairs.ts)."""

    def __init__(self, job: Job, texts: Texts, positions: int) -> None:
        self._texts, self._config = texts, job.stage["prompt"]
        self._max_length = min(job.stage["max_length"], positions)
        self.truncated = 0
        preferences = job_preferences(job)
        if preferences:
            given = [self._sides_of_preference(one) for one in preferences]
            learnt, held = hold_back(given, job.seed)
            self.train, self.validation = self._encode(learnt), self._encode(held)
        else:
            self.train = self._encode(self._from_labels(job, "train"))
            self.validation = self._encode(self._from_labels(job, "validation"))
        if not self.train:
            file = job.data_name("pairs" if preferences else "train")
            message = f"{file}: no pair has room for an answer within max_length {self._max_length}. Raise max_length or shorten the prompts."
            raise NagiError("data.empty", message, {"file": file})

    def _sides_of_preference(self, one: Any) -> tuple[Sides, Sides]:
        prompt = self._texts.encode(one.prompt)
        return (prompt, self._texts.encode(one.chosen)), (prompt, self._texts.encode(one.rejected))

    def _from_labels(self, job: Job, which: str) -> list[tuple[Sides, Sides]]:
        """A positive text is chosen over a negative one, and each is asked to go on from its own beginning."""
        rows = job_rows(job, which)
        sides = [self._sides_of_text(row.sentence) for row in rows]
        pairs = draw_pairs([row.label for row in rows], stream(job.seed, "pairs"))
        return [(sides[pair.chosen], sides[pair.rejected]) for pair in pairs]

    def _sides_of_text(self, text: str) -> Sides:
        """A text's beginning and what follows, encoded apart, as at generation."""
        if self._config["unit"] == "tokens":
            ids = self._texts.encode(text)
            return ids[: self._config["length"]], ids[self._config["length"] :]
        prompt = prompt_of(self._texts, text, self._config)
        beginning = prompt.text if prompt else ""
        return (prompt.ids if prompt else []), self._texts.encode(text[len(beginning) :])

    def _cut(self, sides: Sides) -> Completion | None:
        prompt, answer = sides
        # Text begins after the end of another one, as in pre-training.
        before = prompt or [self._texts.eos_id]
        ids, room = [*answer, self._texts.eos_id], self._max_length - len(before)
        self.truncated += len(ids) > room
        return Completion([*before, *ids[:room]], len(before)) if room >= 1 else None

    def _encode(self, pairs: Sequence[tuple[Sides, Sides]]) -> list[tuple[Completion, Completion]]:
        cut = [(self._cut(chosen), self._cut(rejected)) for chosen, rejected in pairs]
        return [(chosen, rejected) for chosen, rejected in cut if chosen and rejected]


def collate(items: Sequence[dict[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """trl's batch: all chosen texts, then all rejected ones; completion_mask says what was answered."""
    sides = [(item[f"{side}_ids"], item[f"{side}_prompt"]) for side in ("chosen", "rejected") for item in items]
    batch = pad_texts([ids for ids, _ in sides], pad_id)
    at = torch.arange(batch["input_ids"].shape[1])[None]
    first, end = torch.tensor([given for _, given in sides]), torch.tensor([len(ids) for ids, _ in sides])
    batch["completion_mask"] = ((at >= first[:, None]) & (at < end[:, None])).long()
    batch["num_tokens"] = torch.tensor(sum(len(ids) for ids, _ in sides))
    return batch


class NagiDPOTrainer(OrderedTrainerMixin, DPOTrainer):
    """trl's DPOTrainer on pairs that are encoded already, each side with a prompt of its own.

    Two things are put right: a step's loss is the mean over its pairs however they fall into micro-batches, and
    label_smoothing counts (trl's sigmoid loss leaves it out): (1 - s) L(d) + s L(-d) = L(d) + s d.
    """

    pairs_in_step = 1

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        batches, counted = super().get_batch_samples(*args, **kwargs)
        self.pairs_in_step = sum(len(batch["input_ids"]) // 2 for batch in batches) or 1
        return batches, counted

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any) -> Any:
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if self.label_smoothing:
            loss = loss + self.label_smoothing * self._margins(inputs, outputs.logits).mean()
        share = len(inputs["input_ids"]) / 2 / self.pairs_in_step
        loss = loss * share * self.current_gradient_accumulation_steps
        return (loss, outputs) if return_outputs else loss

    def _margins(self, inputs: dict[str, Any], logits: torch.Tensor) -> torch.Tensor:
        """beta times the difference of the log-ratios, a pair."""
        policy = self._text_logps(inputs, logits)
        with torch.no_grad(), self.accelerator.unwrap_model(self.model).disable_adapter():
            keys = ("input_ids", "attention_mask")
            reference = self._text_logps(
                inputs, self.model(**{key: inputs[key] for key in keys}, use_cache=False).logits
            )
        chosen, rejected = (policy - reference).chunk(2)
        return self.beta * (chosen - rejected)

    @staticmethod
    def _text_logps(inputs: dict[str, Any], logits: torch.Tensor) -> torch.Tensor:
        targets, counted = inputs["input_ids"][:, 1:], inputs["completion_mask"][:, 1:]
        losses = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), targets, reduction="none")
        return -(losses * counted).sum(1)


def preference_metrics(
    policy: tuple[Sequence[float], Sequence[float]],
    reference: tuple[Sequence[float], Sequence[float]],
    stage: dict[str, Any],
) -> Metrics:
    """TRL's figures from summed log-probabilities of (chosen, rejected), in float64 (engine/train/rl/preference.ts)."""
    chosen, rejected = (torch.tensor(side, dtype=torch.float64) for side in policy)
    before = [torch.tensor(side, dtype=torch.float64) for side in reference]
    better, worse = stage["beta"] * (chosen - before[0]), stage["beta"] * (rejected - before[1])
    margins, smoothing = better - worse, stage["label_smoothing"]
    losses = (1 - smoothing) * F.softplus(-margins) + smoothing * F.softplus(margins)
    return {
        "loss": float(losses.mean()),
        "rewards/chosen": float(better.mean()),
        "rewards/rejected": float(worse.mean()),
        "rewards/accuracies": float((margins > 0).double().mean()),
        "rewards/margins": float(margins.mean()),
        "logps/chosen": float(chosen.mean()),
        "logps/rejected": float(rejected.mean()),
    }


class PairJudge:
    """Evaluations on the validation pairs. The reference does not change: it is asked once."""

    def __init__(self, context: Context, trainer: Any, data: PairData, texts: Texts, samples: TextSamples) -> None:
        self._context, self._trainer, self._data, self._texts, self._samples = context, trainer, data, texts, samples
        self._reference: tuple[list[float], list[float]] | None = None
        self.metrics: Metrics = {}

    def _logps(self) -> tuple[list[float], list[float]]:
        model: PeftModel = self._trainer.accelerator.unwrap_model(self._trainer.model)
        chosen, rejected = zip(*self._data.validation, strict=True)
        device = self._trainer.args.device
        first = completion_logps(model, chosen, self._texts.pad_id, device)
        return first, completion_logps(model, rejected, self._texts.pad_id, device)

    def evaluate(self, step: int) -> Metrics:
        stage = self._context.job.stage
        metrics: Metrics
        if not self._data.validation:  # a single pair is all trained on
            names = ("loss", *LOG_KEYS)
            metrics = {f"eval_{key}": None for key in names}
        else:
            if self._reference is None:
                with self._trainer.accelerator.unwrap_model(self._trainer.model).disable_adapter():
                    self._reference = self._logps()
            found = preference_metrics(self._logps(), self._reference, stage)
            metrics = {f"eval_{key}": value for key, value in found.items()}
        for key, value in metrics.items():
            if value is not None and not math.isfinite(value):
                raise diverged(self._context.events, step, key)
        self.metrics = metrics
        self._context.events.emit("eval", step=step, metrics=metrics)
        self._samples.write(step)
        return metrics


def _rows(pairs: Sequence[tuple[Completion, Completion]]) -> Dataset:
    return Dataset.from_list([
        {
            "chosen_ids": chosen.ids,
            "chosen_prompt": chosen.prompt_tokens,
            "rejected_ids": rejected.ids,
            "rejected_prompt": rejected.prompt_tokens,
        }
        for chosen, rejected in pairs
    ])  # fmt: skip


def refuse_sharded(job: Job) -> None:
    """Evaluations switch the adapter off on a whole model. Raises config.invalid."""
    if job.launch["num_processes"] == 1 or job.launch["strategy"] in ("ddp", "zero2"):
        return
    problem = f"is {job.launch['strategy']}; DPO needs the whole model on every GPU (the base may be 8bit or 4bit)"
    details = {"file": "launch", "path": "launch.strategy", "problem": problem, "allowed": "ddp, zero2"}
    raise NagiError("config.invalid", f"launch.strategy {problem}. Choose ddp or zero2.", details)


def run_dpo(context: Context) -> int:
    """Runs the stage. Returns FINISHED, PAUSED or STOPPED."""
    job = context.job
    stage = job.stage
    refuse_sharded(job)
    model, texts = start_model(job, "causal-lm")
    data = PairData(job, texts, model.config.max_position_embeddings)
    total_steps, per_epoch = steps_of(stage, len(data.train))
    arguments = DPOConfig(
        **training_arguments(job, total_steps),
        beta=stage["beta"],
        label_smoothing=stage["label_smoothing"],
        max_length=None,
        disable_dropout=False,
    )
    trainer = NagiDPOTrainer(
        model=model,
        args=arguments,
        train_dataset=_rows(data.train),
        data_collator=lambda items: collate(items, texts.pad_id),
        processing_class=processing_of(texts),
    )
    # A PeftModel that is handed over gets a second adapter as its reference; ours is the base.
    trainer.model.delete_adapter("ref")
    train_in_f32(trainer.model)
    trainer.order = EpochSampler(EpochOrder(len(data.train), stream(job.seed, "order")), len(data.train))
    sentences = [row.sentence for row in job_rows(job, "validation")]
    judge = PairJudge(context, trainer, data, texts, TextSamples(context, trainer, texts, sentences))
    trainer.evaluation = judge.evaluate
    callback = StageCallback(context, trainer, per_epoch, LOG_KEYS)
    prepared = {
        "total_steps": total_steps,
        "steps_per_epoch": per_epoch,
        "parameters": parameter_count(model),
        "trainable_parameters": sum(one.numel() for one in model.parameters() if one.requires_grad),
        "train_rows": len(data.train),
        "validation_rows": len(data.validation),
        "test_rows": 0,
        "truncated_rows": data.truncated,
        "baselines": None,
        "adapter": device_name(),
        "gpu_bytes": allocated_bytes(model),
    }
    ended = train(context, trainer, callback, prepared)
    if ended != FINISHED:
        return ended
    if not judge.metrics:  # resumed after its last step
        judge.evaluate(total_steps)
    metrics = {**judge.metrics, **summary(callback, total_steps, total_steps, data.truncated)}
    adapted = trainer.accelerator.unwrap_model(trainer.model)
    finish_output(job, "adapter", lambda folder: write_adapter(adapted, job, folder), metrics)
    context.events.emit("result", step=total_steps, metrics=metrics, calibration=[], samples=[], notes=[])
    return FINISHED
