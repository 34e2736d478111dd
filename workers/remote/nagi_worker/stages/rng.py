"""The studio's random numbers (src/shared/stats/random.ts, workers/engine/train/streams.ts), bit for bit.

The order of the data, the pairs, the prompts and fresh adapters follow from a run's seed in the browser and here alike,
so that the curves of both can be laid on each other.
"""

from __future__ import annotations

import math
from collections.abc import MutableSequence, Sequence
from typing import TypeVar

T = TypeVar("T")

MASK = 0xFFFF_FFFF
State = tuple[int, int, int, int]

#: one sequence for each use of a run's seed, as in streams.ts
STREAMS = {
    "score": 1,
    "weights": 2,
    "order": 3,
    "rejected": 4,
    "pairs": 5,
    "threshold": 6,
    "prompts": 7,
    "rollout": 8,
    "minibatches": 9,
    "samples": 10,
    "baseline": 11,
}
#: of fresh adapters (model-layout.ts)
LORA_STREAM = 0x104A


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & MASK


class Random:
    """xoshiro128** 1.1 on four 32-bit words."""

    def __init__(self, state: Sequence[int]) -> None:
        if len(state) != 4 or not any(state):
            raise ValueError("not a state of xoshiro128**")
        self._words: State = (state[0] & MASK, state[1] & MASK, state[2] & MASK, state[3] & MASK)

    @classmethod
    def seeded(cls, seed: int, stream: int = 0) -> Random:
        """A generator from two 32-bit numbers."""
        counter = (seed ^ (stream * 0x85EB_CA6B)) & MASK
        words = []
        for _ in range(4):
            counter = (counter + 0x9E37_79B9) & MASK
            mixed = ((counter ^ (counter >> 16)) * 0x21F0_AAAD) & MASK
            mixed = ((mixed ^ (mixed >> 15)) * 0x735A_2D97) & MASK
            words.append(mixed ^ (mixed >> 15))
        return cls(words)

    def state(self) -> State:
        """For storage: `Random(state)` goes on after the numbers drawn so far."""
        return self._words

    def uint32(self) -> int:
        """An integer in [0, 2^32)."""
        s0, s1, s2, s3 = self._words
        result = (_rotate((s1 * 5) & MASK, 7) * 9) & MASK
        next2, next3 = s2 ^ s0, s3 ^ s1
        self._words = (s0 ^ next3, s1 ^ next2, next2 ^ ((s1 << 9) & MASK), _rotate(next3, 11))
        return result

    def uniform(self) -> float:
        """A number in [0, 1) with 53 random bits."""
        high, low = self.uint32() >> 5, self.uint32() >> 6
        return (high * 0x400_0000 + low) / 2**53

    def below(self, limit: int) -> int:
        """An integer in [0, limit), each equally likely."""
        if not 1 <= limit <= 2**32:
            raise ValueError(f"no integer below {limit}")
        complete = 2**32 - (2**32 % limit)
        while True:
            value = self.uint32()
            if value < complete:
                return value % limit

    def normal(self) -> float:
        """A draw of the standard normal distribution (Box and Muller, one of the pair)."""
        radius = math.sqrt(-2 * math.log(1 - self.uniform()))
        return radius * math.cos(2 * math.pi * self.uniform())

    def shuffle(self, items: MutableSequence[T]) -> MutableSequence[T]:
        """Puts `items` into random order in place (Fisher and Yates) and returns them."""
        for last in range(len(items) - 1, 0, -1):
            chosen = self.below(last + 1)
            items[last], items[chosen] = items[chosen], items[last]
        return items


def stream(seed: int, which: str) -> Random:
    """A fresh generator at the start of one stream of a run's seed."""
    return Random.seeded(seed, STREAMS[which])


def seed_of(seed: int, which: str, n: int) -> int:
    """A 32-bit seed for the n-th use of a stream, whatever was drawn before."""
    return Random.seeded(stream(seed, which).uint32(), n).uint32()


class BatchCursor:
    """Row indices in a new random order each epoch, every row once an epoch (engine/data/batches.ts)."""

    def __init__(self, rows: int, random: Random) -> None:
        if rows < 1:
            raise ValueError(f"a cursor over {rows} rows")
        self._rows, self._random = rows, random
        self._epoch, self._position = 0, 0
        self._draw()

    @classmethod
    def restore(cls, rows: int, state: dict[str, object]) -> BatchCursor:
        """A cursor that goes on where `state()` was taken. Raises TypeError, ValueError for what is no state of such rows."""
        random, epoch, position = state["random"], state["epoch"], state["position"]
        if not isinstance(random, (list, tuple)) or not isinstance(epoch, int) or not isinstance(position, int):
            raise TypeError("not a state of a cursor")
        if not 0 <= position <= rows:
            raise ValueError(f"position {position} of {rows} rows")
        cursor = cls(rows, Random(random))
        cursor._epoch, cursor._position = epoch, position
        return cursor

    def _draw(self) -> None:
        self._before = self._random.state()
        self._order = self._random.shuffle(list(range(self._rows)))

    def next(self, count: int) -> list[int]:
        """The next indices; fewer than `count` only at the end of an epoch, never none."""
        if self._position == self._rows:
            self._epoch, self._position = self._epoch + 1, 0
            self._draw()
        batch = list(self._order[self._position : self._position + count])
        self._position += len(batch)
        return batch

    def across(self, count: int) -> list[int]:
        """The next `count` indices, over the end of an epoch where it must be."""
        drawn: list[int] = []
        while len(drawn) < count:
            drawn.extend(self.next(count - len(drawn)))
        return drawn

    def state(self) -> dict[str, object]:
        return {"epoch": self._epoch, "position": self._position, "random": list(self._before)}


class EpochOrder:
    """The order of an epoch by its number, for samplers that are told which epoch it is."""

    def __init__(self, rows: int, random: Random) -> None:
        self._rows, self._random = rows, random
        self._orders: list[list[int]] = []

    def order(self, epoch: int) -> list[int]:
        """Indices of epoch 0, 1, 2, ..., as a BatchCursor from the same generator gives them out."""
        while len(self._orders) <= epoch:
            self._orders.append(list(self._random.shuffle(list(range(self._rows)))))
        return self._orders[epoch]
