"""The SFT stage on trl's SFTTrainer: texts in a template, packed, every text seeing itself only.

The rows are encoded and packed here, as the studio does (documents.ts), so that both have the same rows in the same order;
trl's part is the training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from ..errors import NagiError
from .adapters import train_in_f32
from .data import Document, PackedRow, Row, job_rows, pack, parse_template, truncate
from .events import Metrics
from .job import FINISHED, Job
from .models import parameter_count, start_model
from .rng import EpochOrder, stream
from .samples import TextSamples
from .saving import finish_output, write_adapter, write_model
from .sharing import allocated_bytes, device_name, map_shared
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

IGNORED = -100


class LanguageRows:
    """The rows of a stage: what is trained on, what judges, and their numbers."""

    def __init__(self, job: Job, texts: Texts, positions: int) -> None:
        stage = job.stage
        self.template = parse_template(stage["template"])
        self.max_length = min(stage["max_length"], positions)
        train_rows = self._wanted(job, "train")
        validation_rows = self._wanted(job, "validation")
        learnt = [self._document(texts, row, stage) for row in train_rows]
        judged = [self._document(texts, row, stage) for row in validation_rows]
        cut, cut_count = truncate(learnt, self.max_length)
        judged, judged_count = truncate(judged, self.max_length)
        wrapped = stage["packing"] == "wrapped"
        rows = pack(learnt if wrapped else cut, stage["packing"], self.max_length)
        self.train = self._learning(rows, job, "train")
        self.validation = self._learning(pack(judged, False, self.max_length), job, "validation")
        self.train_rows, self.validation_rows = len(train_rows), len(validation_rows)
        self.truncated = (0 if wrapped else cut_count) + judged_count
        self.validation_texts = [row.sentence for row in validation_rows]

    @staticmethod
    def _wanted(job: Job, which: str) -> list[Row]:
        name, labels = job.data_name(which), job.stage["labels"]
        rows = job_rows(job, which, both_labels=False)
        kept = [row for row in rows if labels == "all" or row.label == int(labels == "positive")]
        if not kept:
            message = f'{name} has no {labels} rows. Choose another file, or labels "all".'
            raise NagiError("data.empty", message, {"file": name})
        return kept

    def _document(self, texts: Texts, row: Row, stage: dict[str, Any]) -> Document:
        before, after = self.template
        prefix = texts.encode(before) if before else []
        ids = [*prefix, *texts.encode(row.sentence + after), texts.eos_id]
        return Document(ids, len(prefix) if stage["completion_only_loss"] else 0)

    @staticmethod
    def _learning(rows: list[PackedRow], job: Job, which: str) -> list[PackedRow]:
        kept = [row for row in rows if row.learns()]
        if not kept:
            name = job.data_name(which)
            message = f"{name}: no text has a token to learn from within max_length. Raise max_length, or shorten the template."
            raise NagiError("data.empty", message, {"file": name})
        return kept


def collate(rows: Sequence[dict[str, list[int]]], pad_id: int) -> dict[str, torch.Tensor]:
    """Rows [B, L], filled at the end. No attention mask: positions that begin anew keep the documents apart, and each
    filler token is a document of its own. (transformers derives the mask from position_ids only without a cache.)"""
    width = max(len(row["input_ids"]) for row in rows)
    filler = {"input_ids": pad_id, "labels": IGNORED, "position_ids": 0}
    batch = {
        key: torch.tensor([row[key] + [fill] * (width - len(row[key])) for row in rows]) for key, fill in filler.items()
    }
    batch["num_tokens"] = torch.tensor(sum(len(row["input_ids"]) for row in rows))
    return batch


class NagiSFTTrainer(OrderedTrainerMixin, SFTTrainer):
    """trl's SFTTrainer on rows that are already encoded and packed."""


def language_loss(model: Any, texts: Texts, rows: Sequence[PackedRow], device: torch.device, batch_size: int) -> float:
    """Mean loss in nats over all counted tokens."""

    def work(batch: Sequence[PackedRow]) -> list[tuple[float, int]]:
        inputs = collate([row.columns() for row in batch], texts.pad_id)
        inputs = {key: value.to(device) for key, value in inputs.items()}
        labels = inputs["labels"][:, 1:]
        logits = model(input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
        )
        counted = labels != IGNORED
        return [(float(losses[i].double().sum()), int(counted[i].sum())) for i in range(len(batch))]

    sums = map_shared(rows, batch_size, work)
    return math.fsum(loss for loss, _ in sums) / sum(count for _, count in sums)


def run_sft(context: Context) -> int:
    """Runs the stage. Returns FINISHED, PAUSED or STOPPED."""
    job = context.job
    stage = job.stage
    model, texts = start_model(job, "causal-lm")
    rows = LanguageRows(job, texts, model.config.max_position_embeddings)
    total_steps, per_epoch = steps_of(stage, len(rows.train))
    peft = stage["peft"]
    arguments = SFTConfig(
        **training_arguments(job, total_steps),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        # Logits of a whole batch would be [tokens, 52096]; trl's chunked loss cannot see an adapter on the output matrix.
        loss_type="nll" if peft and "embed_out" in peft["target_modules"] else "chunked_nll",
    )
    trainer = NagiSFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list([row.columns() for row in rows.train]),
        data_collator=lambda batch: collate(batch, texts.pad_id),
        processing_class=processing_of(texts),
    )
    if peft:
        train_in_f32(model)
    trainer.order = EpochSampler(EpochOrder(len(rows.train), stream(job.seed, "order")), len(rows.train))
    samples = TextSamples(context, trainer, texts, rows.validation_texts, rows.template[0])
    latest: Metrics = {}

    def evaluate(step: int) -> Metrics:
        trainer.model.eval()
        loss = language_loss(
            trainer.model_wrapped, texts, rows.validation, trainer.args.device, stage["per_device_train_batch_size"]
        )
        if not math.isfinite(loss):
            raise diverged(context.events, step, "eval_loss")
        perplexity = math.exp(loss) if loss < 700 else None
        latest.update(eval_loss=loss, eval_perplexity=perplexity)
        context.events.emit("eval", step=step, metrics=latest)
        samples.write(step)
        return dict(latest)

    trainer.evaluation = evaluate
    callback = StageCallback(context, trainer, per_epoch, ("entropy", "mean_token_accuracy"))
    prepared = {
        "total_steps": total_steps,
        "steps_per_epoch": per_epoch,
        "parameters": parameter_count(model),
        "trainable_parameters": sum(one.numel() for one in model.parameters() if one.requires_grad),
        "train_rows": rows.train_rows,
        "validation_rows": rows.validation_rows,
        "test_rows": 0,
        "truncated_rows": rows.truncated,
        "baselines": None,
        "adapter": device_name(),
        "gpu_bytes": allocated_bytes(model),
    }
    ended = train(context, trainer, callback, prepared)
    if ended != FINISHED:
        return ended
    step = total_steps
    if not latest:  # resumed after its last step
        evaluate(step)
    metrics = {**latest, **summary(callback, total_steps, step, rows.truncated)}
    state_dict = (
        trainer.accelerator.get_state_dict(trainer.model_wrapped)
        if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
        else None
    )
    if peft:
        finish_output(job, "adapter", lambda folder: write_adapter(trainer.model, job, folder, state_dict), metrics)
    else:
        finish_output(job, "model", lambda folder: write_model(trainer.model, texts, folder, state_dict), metrics)
    context.events.emit("result", step=step, metrics=metrics, calibration=[], samples=[], notes=[])
    return FINISHED


def processing_of(texts: Texts) -> Any:
    """trl wants a tokenizer object; the texts are encoded already."""
    from transformers import PreTrainedTokenizerFast

    tokens = {"eos_token": texts.token(texts.eos_id), "pad_token": texts.token(texts.pad_id)}
    return PreTrainedTokenizerFast(tokenizer_file=str(texts.folder / "tokenizer.json"), **tokens)
