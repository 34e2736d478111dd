"""Optimizer steps by transformers' Trainer (and trl's, which are Trainers), told as the studio's own loop tells them.

A stage gives its Trainer three things: StageArguments' settings, the order of its rows, and a StageCallback. The callback
owns what happens after a step, in the studio's order: log, evaluation, checkpoint, pause or stop.
"""

from __future__ import annotations

import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..errors import NagiError
from . import checkpoints
from .control import PAUSE, RUN, STOP, Control
from .events import EventWriter, Metrics
from .job import FINISHED, PAUSED, STOPPED, Job
from .rng import EpochOrder

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


@dataclass
class Progress:
    """What a checkpoint must know beside the tensors, so that resumed = uninterrupted."""

    num_tokens: int = 0
    train_seconds: float = 0.0
    interval_loss: float = 0.0
    interval_steps: int = 0
    total_loss: float = 0.0
    seconds: float = 0.0


@dataclass
class Context:
    """What a stage works with."""

    job: Job
    events: EventWriter
    control: Control
    started: float

    def seconds(self, before: float) -> float:
        return before + time.monotonic() - self.started


def diverged(events: EventWriter, step: int, metric: str) -> NagiError:
    """The error of a number that is not finite, after its event."""
    events.emit("diverged", step=step, metric=metric)
    message = (
        f"Step {step}: {metric} is not a finite number, training has diverged. The checkpoint before it is kept; start "
        "again with a smaller learning_rate, more warm-up, or max_grad_norm 1."
    )
    return NagiError("run.diverged", message, {"step": step, "metric": metric})


def steps_of(stage: dict[str, Any], rows: int) -> tuple[int, int]:
    """(optimizer steps in all, steps an epoch) of a stage over so many rows, on all processes together."""
    per_step = (
        stage["per_device_train_batch_size"] * stage["gradient_accumulation_steps"] * PartialState().num_processes
    )
    per_epoch = math.ceil(rows / per_step)
    if stage["max_steps"] > 0:
        return stage["max_steps"], per_epoch
    return math.ceil(stage["num_train_epochs"] * per_epoch), per_epoch


def training_arguments(job: Job, total_steps: int) -> dict[str, Any]:
    """transformers' TrainingArguments of a stage, every default of trl's that matters said anew."""
    stage, launch = job.stage, job.launch
    # Trainer rounds the warm-up up from a share in one version and takes steps in another: steps are unmistakable.
    warmup = math.ceil(stage["warmup_ratio"] * total_steps)
    return {
        "output_dir": str(job.folder / "checkpoints" / ".trainer"),
        "seed": job.seed,
        "data_seed": job.seed,
        "max_steps": total_steps,
        "per_device_train_batch_size": stage["per_device_train_batch_size"],
        "gradient_accumulation_steps": stage["gradient_accumulation_steps"],
        "learning_rate": stage["learning_rate"],
        "lr_scheduler_type": SCHEDULES[stage["lr_scheduler_type"]],
        "warmup_steps": warmup,
        "weight_decay": stage["weight_decay"],
        "adam_beta1": stage["adam_beta1"],
        "adam_beta2": stage["adam_beta2"],
        "adam_epsilon": stage["adam_epsilon"],
        "max_grad_norm": stage["max_grad_norm"],
        "optim": "adamw_torch",
        # trl's configs say bf16=True and gradient_checkpointing=True unless told.
        "bf16": launch["precision"] == "bfloat16",
        "fp16": launch["precision"] == "float16",
        "gradient_checkpointing": launch["gradient_checkpointing"],
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if launch["gradient_checkpointing"] else None,
        "use_cpu": not torch.cuda.is_available(),
        # Every step's loss is looked at; what is told, evaluated and stored is the callback's business.
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "eval_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "average_tokens_across_devices": True,
    }


def load_whole_model(model: nn.Module, folder: Path) -> None:
    """The weights of a checkpoint into a model. Raises storage.corrupt where one is missing."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    missing = set(model.state_dict()) - tied
    for file in sorted(folder.glob("model*.safetensors")):
        # On disk the output matrix has another name than in memory.
        state = {re.sub(r"^embed_out\.", "lm_head.", name): tensor for name, tensor in load_file(file).items()}
        model.load_state_dict(state, strict=False)
        missing -= set(state)
    if missing:
        reason = f"it has no {', '.join(sorted(missing))}"
        details = {"file": folder.name, "reason": reason}
        raise NagiError("storage.corrupt", f"The checkpoint {folder.name} cannot be used: {reason}.", details)


class EpochSampler(Sampler[int]):
    """The studio's order of rows; a new one each epoch."""

    def __init__(self, orders: EpochOrder, rows: int) -> None:
        self.orders, self.rows, self.epoch = orders, rows, 0

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        return iter(self.orders.order(self.epoch))


class StageTrainerMixin:
    """What every Trainer of ours does differently; the stage sets `evaluation`."""

    evaluation: Callable[[int], Metrics]
    #: of the step at hand, on this rank
    step_tokens = 0
    #: whose epochs are told (none where the Trainer orders by itself)
    order: EpochSampler | None = None

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Every tensor decays, as with torch.optim.AdamW and in the studio."""
        return [name for name, _ in model.named_parameters()]

    def evaluate(self, *args: Any, **kwargs: Any) -> Metrics:
        metrics = self.evaluation(self.state.global_step)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Checkpoints need none."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Trainer's own loading knows one name of the output matrix only, and goes on without it with a warning."""
        own = self.model if model is None else model
        if isinstance(own, PeftModel) or self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            load_whole_model(own, Path(resume_from_checkpoint))


class OrderedTrainerMixin(StageTrainerMixin):
    """Rows in the studio's order; the stage sets `order`. Batches say how many tokens they hold (`num_tokens`)."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        return self.order

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        self.step_tokens += int(inputs.pop("num_tokens"))
        return super().training_step(model, inputs, *args, **kwargs)


class StageCallback(TrainerCallback):
    """After each step: log, evaluate, checkpoint, pause or stop; the same on every rank."""

    def __init__(self, context: Context, trainer: Any, steps_per_epoch: int, log_keys: tuple[str, ...] = ()) -> None:
        self.context, self.trainer, self.steps_per_epoch, self.log_keys = context, trainer, steps_per_epoch, log_keys
        self.progress = Progress()
        self.before = 0.0
        self.ended = FINISHED
        self._stage = context.job.stage
        self._mark = time.monotonic()
        self._log_seconds, self._log_tokens = 0.0, 0

    def resume(self, state: dict[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        self.before = self.progress.seconds

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.trainer.order is not None:
            self.trainer.order.epoch = state.global_step // self.steps_per_epoch
        self._mark = time.monotonic()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        if "loss" not in logs:  # the Trainer's own summary at the end
            return
        step, last = state.global_step, state.global_step == state.max_steps
        self._account(step, logs)
        if step % self._stage["logging_steps"] == 0 or last:
            self._tell(step, logs)
        control.should_evaluate = last or step % self._stage["eval_steps"] == 0
        wanted = self.context.control.wanted()
        control.should_save = last or wanted != RUN or step % self._stage["save_steps"] == 0
        if wanted in (PAUSE, STOP):
            # A pause at the stage's last step is one too: resuming it concludes.
            self.ended = PAUSED if wanted == PAUSE else STOPPED
            control.should_training_stop = True

    def _account(self, step: int, logs: dict[str, Any]) -> None:
        # float16: where the scaled gradient overflows the step is left out and the scale halved, which is no divergence.
        checked = ("loss",) if self.trainer.accelerator.optimizer_step_was_skipped else ("loss", "grad_norm")
        for metric in checked:
            if not math.isfinite(logs.get(metric, 0.0)):
                raise diverged(self.context.events, step, metric)
        now, own = time.monotonic(), torch.tensor(self.trainer.step_tokens, device=PartialState().device)
        tokens = int(reduce(own, reduction="sum").item())
        self.trainer.step_tokens = 0
        self._log_seconds += now - self._mark
        self._log_tokens += tokens
        progress = self.progress
        progress.num_tokens += tokens
        progress.train_seconds += now - self._mark
        progress.interval_loss += logs["loss"]
        progress.interval_steps += 1
        progress.total_loss += logs["loss"]
        self._mark = now

    def _tell(self, step: int, logs: dict[str, Any]) -> None:
        progress = self.progress
        metrics: Metrics = {
            "loss": progress.interval_loss / progress.interval_steps,
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs["learning_rate"],
            "epoch": step / self.steps_per_epoch,
            "num_tokens": progress.num_tokens,
            "tokens_per_second": self._log_tokens / self._log_seconds if self._log_seconds > 0 else None,
            **{key: logs[key] for key in self.log_keys if key in logs},
        }
        progress.interval_loss, progress.interval_steps = 0.0, 0
        self._log_seconds, self._log_tokens = 0.0, 0
        self.context.events.emit("log", step=step, metrics=metrics)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._mark = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The Trainer has written a folder of its own; it becomes a checkpoint by its name."""
        job, step = self.context.job, state.global_step
        PartialState().wait_for_everyone()
        if PartialState().is_main_process:
            self.progress.seconds = self.context.seconds(self.before)
            written = Path(args.output_dir) / f"checkpoint-{step}"
            size = checkpoints.publish(job, written, step, {"progress": asdict(self.progress)})
            self.context.events.emit("checkpoint", step=step, bytes=size)
        PartialState().wait_for_everyone()
        self._mark = time.monotonic()


def train(context: Context, trainer: Any, callback: StageCallback, prepared: dict[str, Any]) -> int:
    """Trains to the end, a pause or a stop, from the newest checkpoint where there is one.

    @param prepared fields of the `prepared` event
    @returns FINISHED, PAUSED or STOPPED
    """
    job = context.job
    trainer.add_callback(callback)
    context.events.emit("prepared", **prepared)
    checkpoint = checkpoints.newest(job)
    if checkpoint:
        callback.resume(checkpoints.load_state(job, checkpoint))
        step = int(checkpoint.name.removeprefix("step-"))
        context.events.emit("resumed", step=step)
        if step >= prepared["total_steps"]:
            load_weights(trainer, checkpoint)
            trainer.state.global_step = step
            return FINISHED
    early = context.control.wanted()
    if early in (PAUSE, STOP):
        return PAUSED if early == PAUSE else STOPPED
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if PartialState().is_main_process:
        shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    return callback.ended


def load_weights(trainer: Any, checkpoint: Path) -> None:
    """The weights of a checkpoint, where nothing is left to train."""
    trainer._load_from_checkpoint(str(checkpoint), None)


def summary(callback: StageCallback, total_steps: int, step: int, truncated: int) -> Metrics:
    """Figures of the whole run, for its `result`."""
    progress = callback.progress
    return {
        "train_loss": progress.total_loss / total_steps,
        "train_runtime": progress.train_seconds,
        "num_tokens": progress.num_tokens,
        "epoch": step / callback.steps_per_epoch,
        "truncated_rows": truncated,
    }
