"""The merge stage: an adapter is folded into the model it was trained on, in the model's own type, and stored in shards.

Real texts go through the adapter beside its base and through the stored result; how far their logits differ is its figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from accelerate import PartialState

from .adapters import attach_adapter
from .control import PAUSE, STOP
from .data import job_rows
from .events import Metrics
from .job import FINISHED, PAUSED, STOPPED, Input
from .merging import merged_causal
from .models import folder_of, load_causal, parameter_count, read_config
from .saving import finish_output, write_model
from .sharing import device_name
from .texts import Texts
from .training import Context, diverged

#: validation texts that are compared, and tokens of each (merge-stage.ts)
TEXTS, TOKENS = 16, 48


class Deviation:
    """Largest and mean difference of logits."""

    def __init__(self) -> None:
        self.most, self.total, self.count = 0.0, 0.0, 0

    def add(self, one: torch.Tensor, other: torch.Tensor) -> None:
        difference = (one.double() - other.double()).abs()
        largest = float(difference.max())
        if not largest <= self.most:  # NaN must stay
            self.most = largest
        self.total += float(difference.sum())
        self.count += difference.numel()

    @property
    def mean(self) -> float:
        return self.total / self.count


def run_merge(context: Context) -> int:
    """Runs the stage. Returns FINISHED, PAUSED or STOPPED."""
    job = context.job
    merged = merged_causal(job, "auto")
    source = job.input("adapter")
    base = source.base or source
    texts = Texts(folder_of(base))
    # Without rows nothing is compared.
    rows = job_rows(job, "validation", both_labels=False)[:TEXTS] if job.data.get("validation") else []
    width = min(TOKENS, merged.config.max_position_embeddings)
    ids = [texts.encode_text(row.sentence, width)[0] for row in rows]
    context.events.emit(
        "prepared", total_steps=1, steps_per_epoch=1, parameters=parameter_count(merged), trainable_parameters=0,
        train_rows=0, validation_rows=len(rows), test_rows=0, truncated_rows=0, baselines=None, adapter=device_name(),
        gpu_bytes=0,
    )  # fmt: skip
    wanted = context.control.wanted()
    if wanted in (PAUSE, STOP):
        return PAUSED if wanted == PAUSE else STOPPED
    # Weights before figures: the stored files are what is compared.
    staged = job.folder / "merged.tmp"
    if PartialState().is_main_process:
        staged.mkdir(exist_ok=True)
        write_model(merged, texts, staged)
    del merged
    PartialState().wait_for_everyone()
    metrics: Metrics = {"texts": len(ids), "tokens": sum(len(one) for one in ids)}
    if ids:
        figures = compare(source, base, staged, ids)
        if not figures["logits_max_deviation"] >= 0:
            raise diverged(context.events, 0, "logits")
        metrics |= figures
    finish_output(job, "model", lambda folder: _move(staged, folder), metrics)
    context.events.emit("result", step=1, metrics=metrics, calibration=[], samples=[], notes=[])
    return FINISHED


def _move(staged: Path, folder: Path) -> None:
    for path in staged.iterdir():
        path.replace(folder / path.name)
    staged.rmdir()


def compare(adapter: Input, base: Input, merged: Path, ids: Sequence[Sequence[int]]) -> dict[str, float]:
    """What folding in changed (rounding to the stored type included), and what the adapter does at all."""
    dtype = compute_type(folder_of(base))
    device = PartialState().device
    model = load_causal(base, dtype).to(device)
    adapted = attach_adapter(model, folder_of(adapter))
    before = logits_of(adapted, ids)
    with adapted.disable_adapter():
        without = logits_of(adapted, ids)
    del adapted, model
    after = logits_of(load_causal(Input(str(merged), "model"), dtype).to(device), ids)
    deviation, effect = Deviation(), Deviation()
    for one, stored, plain in zip(before, after, without, strict=True):
        deviation.add(one, stored)
        effect.add(one, plain)
    return {
        "logits_max_deviation": deviation.most,
        "logits_mean_deviation": deviation.mean,
        "adapter_max_effect": effect.most,
        "adapter_mean_effect": effect.mean,
    }


@torch.no_grad()
def logits_of(model: Any, ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """[tokens, vocabulary] of each text, on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    return [model(input_ids=torch.tensor([list(one)], device=device)).logits[0].float().cpu() for one in ids]


def compute_type(folder: Path) -> torch.dtype:
    """float32 where the memory allows, as in the studio; else bfloat16."""
    config = read_config(folder)
    per_layer = 12 * config.hidden_size**2
    parameters = config.num_hidden_layers * per_layer + 2 * config.vocab_size * config.hidden_size
    device = PartialState().device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return torch.float32 if 4 * parameters < 0.8 * free else torch.bfloat16
