"""The reward stage on transformers' Trainer: a classifier learns from labelled texts, or from pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Trainer, TrainingArguments

from .data import Pair, Row, draw_pairs, hold_back, job_preferences, job_rows, rows_of_part
from .events import Metrics
from .figures import Scored, best_threshold, calibration, evaluation_metrics, fit_baselines, pair_figures
from .job import FINISHED, Job
from .merging import merged_state
from .models import parameter_count, start_model
from .rng import BatchCursor, EpochOrder, stream
from .saving import finish_output, write_reward_model
from .scoring import pad_texts, rewards_of, score_ids
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

LABELS = {"binary": 1, "cross-entropy": 2, "pairwise": 1}
#: training rows on which a pairwise model's threshold is fitted
THRESHOLD_ROWS = 256


@dataclass(frozen=True)
class Split:
    rows: list[Row]
    #: token ids, EOS included
    ids: list[list[int]]
    truncated: list[bool]

    @classmethod
    def encode(cls, rows: list[Row], texts: Texts, max_length: int) -> Split:
        encoded = [texts.encode_text(row.sentence, max_length) for row in rows]
        return cls(rows, [ids for ids, _ in encoded], [cut for _, cut in encoded])

    @property
    def labels(self) -> list[int]:
        return [row.label for row in self.rows]


class RewardData:
    """The texts of a stage, and the items it learns from: texts, or pairs of them."""

    def __init__(self, job: Job, texts: Texts, positions: int) -> None:
        stage, seed = job.stage, job.seed
        max_length = min(stage["max_length"], positions)
        train_rows = rows_of_part(job_rows(job, "train"), stage["rows"], seed, job.data_name("train"))
        # All files are read before the first is encoded: what is wrong with them is said at once.
        validation = job_rows(job, "validation")
        test_rows = job_rows(job, "test") if job.data.get("test") else None
        given = job_preferences(job)
        self.train = Split.encode(train_rows, texts, max_length)
        self.validation = Split.encode(validation, texts, max_length)
        self.test = Split.encode(test_rows, texts, max_length) if test_rows else None
        splits = [self.train, self.validation, *([self.test] if self.test else [])]
        self.truncated = sum(sum(split.truncated) for split in splits)
        self.pair_ids: list[list[int]] = []
        self.held_back: list[Pair] = []
        self.pairs: list[Pair] | None = None
        if given is not None:
            both = [text for one in given for text in (one.prompt + one.chosen, one.prompt + one.rejected)]
            encoded = [texts.encode_text(text, max_length) for text in both]
            self.pair_ids = [ids for ids, _ in encoded]
            self.truncated += sum(cut for _, cut in encoded)
            self.pairs, self.held_back = hold_back([Pair(2 * at, 2 * at + 1) for at in range(len(given))], seed)

    def items(self, objective: str) -> int:
        """Items an epoch."""
        if self.pairs is not None:
            return len(self.pairs)
        labels = self.train.labels
        return max(sum(labels), len(labels) - sum(labels)) if objective == "pairwise" else len(labels)


class PairOrder(EpochOrder):
    """Pairs drawn from labels, anew in every epoch: an item is [chosen, rejected] of training texts (train/sampler.ts)."""

    def __init__(self, labels: Sequence[int], seed: int) -> None:
        self._positive = [index for index, label in enumerate(labels) if label == 1]
        self._negative = [index for index, label in enumerate(labels) if label == 0]
        self._cursors = [
            BatchCursor(len(self._positive), stream(seed, "order")),
            BatchCursor(len(self._negative), stream(seed, "rejected")),
        ]
        self._epochs: list[list[Pair]] = []

    def pairs(self, epoch: int) -> list[Pair]:
        count = max(len(self._positive), len(self._negative))
        while len(self._epochs) <= epoch:
            # The larger class goes through its epoch; the other one follows, over the end of its own.
            chosen, rejected = (cursor.across(count) for cursor in self._cursors)
            pairs = [Pair(self._positive[a], self._negative[b]) for a, b in zip(chosen, rejected, strict=True)]
            self._epochs.append(pairs)
        return self._epochs[epoch]

    def order(self, epoch: int) -> list[int]:
        """The pairs of an epoch are in order already; a number says which: epoch * count + position."""
        count = len(self.pairs(epoch))
        return [epoch * count + position for position in range(count)]


class Items(torch.utils.data.Dataset[dict[str, Any]]):
    """What the Trainer's loader asks: an item's texts. Of pairs that are drawn anew in every epoch numbers run on."""

    def __init__(self, data: RewardData, objective: str, orders: EpochOrder) -> None:
        self._data, self._orders = data, orders
        self._count = data.items(objective)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, Any]:
        data = self._data
        if data.pairs is not None:
            pair = data.pairs[index]
            return {"chosen": data.pair_ids[pair.chosen], "rejected": data.pair_ids[pair.rejected]}
        if isinstance(self._orders, PairOrder):
            pair = self._orders.pairs(index // self._count)[index % self._count]
            return {"chosen": data.train.ids[pair.chosen], "rejected": data.train.ids[pair.rejected]}
        return {"ids": data.train.ids[index], "label": data.train.rows[index].label}


def collate(items: Sequence[dict[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Texts [B, T] and labels [B]; of pairs first all chosen, then all rejected, and a label a pair (for counting)."""
    if "chosen" in items[0]:
        texts = [item["chosen"] for item in items] + [item["rejected"] for item in items]
        labels = [1] * len(items)
    else:
        texts = [item["ids"] for item in items]
        labels = [item["label"] for item in items]
    tokens = sum(len(text) for text in texts)
    return {**pad_texts(texts, pad_id), "labels": torch.tensor(labels), "num_tokens": torch.tensor(tokens)}


def objective_loss(objective: str) -> Any:
    """Trainer's compute_loss_func: the sum over texts or pairs / those of the whole optimizer step, on all ranks."""

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        logits = outputs.logits.float()
        if objective == "pairwise":
            chosen, rejected = rewards_of(logits).chunk(2)
            total = -F.logsigmoid(chosen - rejected).sum()
        elif objective == "binary":
            total = F.binary_cross_entropy_with_logits(logits[:, 0], labels.float(), reduction="sum")
        else:
            total = F.cross_entropy(logits, labels, reduction="sum")
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss


class RewardTrainer(OrderedTrainerMixin, Trainer):
    """transformers' Trainer with a reward objective."""


class Judge:
    """Evaluations of a reward model in training."""

    def __init__(self, context: Context, trainer: Any, data: RewardData, texts: Texts) -> None:
        self._context, self._trainer, self._data, self._texts = context, trainer, data, texts
        self._stage, self._seed = context.job.stage, context.job.seed
        #: of the last evaluation
        self.metrics: Metrics = {}
        self.threshold = 0.0
        self.scored: Scored | None = None

    def evaluate(self, step: int) -> Metrics:
        self.scored = self._score(self._data.validation, step)
        pairwise = self._stage["objective"] == "pairwise"
        self.threshold = self._train_threshold(step) if pairwise else 0.0
        self.metrics = evaluation_metrics("eval", self.scored, self._stage["objective"], self.threshold)
        self.metrics.update(self._held_back(step))
        self._context.events.emit("eval", step=step, metrics=self.metrics)
        return self.metrics

    def test(self, step: int) -> Metrics:
        """Of the test rows, once; the cut of a pairwise model comes from the validation rows."""
        if self._data.test is None or self.scored is None:
            return {}
        pairwise = self._stage["objective"] == "pairwise"
        cut = best_threshold(self.scored.rewards, self.scored.labels) if pairwise else 0.0
        return evaluation_metrics("test", self._score(self._data.test, step), self._stage["objective"], cut)

    def _rewards(self, ids: list[list[int]], step: int) -> np.ndarray:
        model = self._trainer.model_wrapped
        model.eval()
        device = self._trainer.args.device
        rewards = np.array(score_ids(model, ids, pad_id=self._texts.pad_id, positive=1, device=device))
        if not np.isfinite(rewards).all():
            raise diverged(self._context.events, step, "reward")
        return rewards

    def _score(self, split: Split, step: int) -> Scored:
        labels = np.array(split.labels)
        pairwise = self._stage["objective"] == "pairwise"
        pairs = draw_pairs(split.labels, stream(self._seed, "pairs")) if pairwise else []
        lengths = np.array([len(ids) for ids in split.ids])
        return Scored(self._rewards(split.ids, step), labels, lengths, pairs)

    def _train_threshold(self, step: int) -> float:
        """Pairwise rewards are fixed up to a constant only: where positive begins is asked of a few training rows."""
        train = self._data.train
        some = list(stream(self._seed, "threshold").shuffle(list(range(len(train.rows)))))[:THRESHOLD_ROWS]
        rewards = self._rewards([train.ids[index] for index in some], step)
        return best_threshold(rewards, np.array([train.rows[index].label for index in some]))

    def _held_back(self, step: int) -> Metrics:
        data = self._data
        if not data.held_back:
            return {}
        ids = [data.pair_ids[side] for pair in data.held_back for side in (pair.chosen, pair.rejected)]
        own = [Pair(2 * at, 2 * at + 1) for at in range(len(data.held_back))]
        loss, figures = pair_figures(self._rewards(ids, step), own)
        return {"eval_loss": loss, **{f"eval_{key}": value for key, value in figures.items()}}


def run_reward(context: Context) -> int:
    """Runs the stage. Returns FINISHED, PAUSED or STOPPED."""
    job = context.job
    stage = job.stage
    objective = stage["objective"]
    model, texts = start_model(job, "reward", LABELS[objective])
    data = RewardData(job, texts, model.config.max_position_embeddings)
    validation_baseline, test_baseline = fit_baselines(
        data.train.rows, [data.validation.rows, data.test.rows if data.test else None]
    )
    total_steps, per_epoch = steps_of(stage, data.items(objective))
    drawn = objective == "pairwise" and data.pairs is None
    orders = (
        PairOrder(data.train.labels, job.seed)
        if drawn
        else EpochOrder(data.items(objective), stream(job.seed, "order"))
    )
    trainer = RewardTrainer(
        model=model,
        args=TrainingArguments(**training_arguments(job, total_steps)),
        train_dataset=Items(data, objective, orders),
        data_collator=lambda items: collate(items, texts.pad_id),
        compute_loss_func=objective_loss(objective),
    )
    trainer.order = EpochSampler(orders, data.items(objective))
    judge = Judge(context, trainer, data, texts)
    trainer.evaluation = judge.evaluate
    callback = StageCallback(context, trainer, per_epoch)
    prepared = {
        "total_steps": total_steps,
        "steps_per_epoch": per_epoch,
        "parameters": parameter_count(model),
        "trainable_parameters": sum(one.numel() for one in model.parameters() if one.requires_grad),
        "train_rows": len(data.train.rows) if data.pairs is None else len(data.pairs),
        "validation_rows": len(data.validation.rows),
        "test_rows": len(data.test.rows) if data.test else 0,
        "truncated_rows": data.truncated,
        "baselines": validation_baseline,
        "adapter": device_name(),
        "gpu_bytes": allocated_bytes(model),
    }
    ended = train(context, trainer, callback, prepared)
    if ended != FINISHED:
        return ended
    if judge.scored is None:  # resumed after its last step
        judge.evaluate(total_steps)
    metrics: Metrics = {
        **judge.metrics,
        **judge.test(total_steps),
        **(test_baseline or validation_baseline or {}),
        **{f"eval_{key}": value for key, value in (validation_baseline or {}).items()},
        **summary(callback, total_steps, total_steps, data.truncated),
    }
    _hand_over(job, trainer, texts, judge.threshold, metrics)
    samples = [
        {
            "index": index,
            "review_id": row.review_id,
            "sentence": row.sentence,
            "label": "positive" if row.label else "negative",
            "reward": float(judge.scored.rewards[index]),
            "truncated": data.validation.truncated[index],
        }
        for index, row in enumerate(data.validation.rows)
    ]
    bins = calibration(judge.scored, judge.threshold)
    context.events.emit("result", step=total_steps, metrics=metrics, calibration=bins, samples=samples, notes=[])
    return FINISHED


def _hand_over(job: Job, trainer: Any, texts: Texts, threshold: float, metrics: Metrics) -> None:
    """The whole model in float32; an adapter is folded into what it was trained on."""
    spread = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped) if spread else None
    facts = {"threshold": threshold, "max_length": job.stage["max_length"]}
    model = trainer.accelerator.unwrap_model(trainer.model)

    def write(folder: Path) -> None:
        if job.stage["peft"]:
            base, tensors = merged_state(job, model, state_dict)
            base.config.num_labels = LABELS[job.stage["objective"]]
            write_reward_model(base, texts, folder, facts, tensors)
        else:
            write_reward_model(model, texts, folder, facts, state_dict)

    finish_output(job, "reward_model", write, metrics)
