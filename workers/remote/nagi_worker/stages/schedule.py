"""Learning-rate schedules, as transformers.get_scheduler and the studio compute them."""

from __future__ import annotations

import math
from typing import Any


def learning_rate(stage: dict[str, Any], total_steps: int, step: int) -> float:
    """The rate of the step after `step` steps (0, 1, 2, ...)."""
    peak, warmup = stage["learning_rate"], math.ceil(stage["warmup_ratio"] * total_steps)
    if step < warmup:
        return peak * step / max(1, warmup)
    if stage["lr_scheduler_type"] == "constant":
        return peak
    length = max(1, total_steps - warmup)
    if stage["lr_scheduler_type"] == "linear":
        return peak * max(0.0, (total_steps - step) / length)
    return peak * max(0.0, 0.5 * (1 + math.cos(math.pi * (step - warmup) / length)))
