"""Forward passes spread over the ranks: each takes a share, all get every result, in the order of the items."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

T = TypeVar("T")
R = TypeVar("R")


def map_shared(items: Sequence[T], batch_size: int, work: Callable[[Sequence[T]], list[R]]) -> list[R]:
    """`work` on batches of the items, one result an item. Every rank makes equally many calls (sharded models need it)."""
    state = PartialState()
    share = math.ceil(len(items) / state.num_processes)
    own = list(items[state.process_index * share : (state.process_index + 1) * share])
    valid = len(own)
    own += [items[-1]] * (share - valid)
    results = map_alone(own, batch_size, work)
    if state.num_processes == 1:
        return results
    return list(gather_object(results[:valid]))


def map_alone(items: Sequence[T], batch_size: int, work: Callable[[Sequence[T]], list[R]]) -> list[R]:
    """The same for items that are this rank's own."""
    results: list[R] = []
    with torch.no_grad():
        for first in range(0, len(items), batch_size):
            results.extend(work(items[first : first + batch_size]))
    return results


def device_name() -> str:
    """What the studio shows as the adapter."""
    state = PartialState()
    name = torch.cuda.get_device_name(state.device) if state.device.type == "cuda" else "CPU (PyTorch)"
    return f"{state.num_processes} x {name}" if state.num_processes > 1 else name


def allocated_bytes(model: Any) -> int:
    """GPU bytes in use on this rank; without a GPU, those of weights, gradients and moments."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    parameters = list(model.parameters())
    weights = sum(one.numel() * one.element_size() for one in parameters)
    return weights + sum(12 * one.numel() for one in parameters if one.requires_grad)
