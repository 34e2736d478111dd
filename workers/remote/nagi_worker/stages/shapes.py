"""Shapes of the open-calm models, from their config.json files: what a memory preflight needs before anything is fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    vocabulary: int
    positions: int = 2048

    @property
    def linear_parameters(self) -> int:
        """Of the layers' matrices: what is quantized."""
        return self.layers * 12 * self.hidden**2

    @property
    def other_parameters(self) -> int:
        """Embedding, output matrix, biases and norms: never quantized."""
        return 2 * self.vocabulary * self.hidden + self.layers * 13 * self.hidden + 2 * self.hidden

    @property
    def parameters(self) -> int:
        return self.linear_parameters + self.other_parameters


#: the intermediate size is 4 times the hidden one, embeddings are not tied
OPEN_CALM = {
    "small": Shape(768, 12, 52096),
    "medium": Shape(1024, 24, 52096),
    "large": Shape(1536, 24, 52096),
    "1b": Shape(2048, 24, 52096),
    "3b": Shape(2560, 32, 52224),
    "7b": Shape(4096, 32, 52224),
}
_NAME = re.compile(r"open-calm-(small|medium|large|1b|3b|7b)")


def shape_of(reference: str, config: dict[str, Any] | None = None) -> Shape | None:
    """Of a model by its config.json, else by an open-calm name in its reference; None where neither says it."""
    if config is not None:
        return Shape(
            config["hidden_size"],
            config["num_hidden_layers"],
            config["vocab_size"],
            config.get("max_position_embeddings", 2048),
        )
    found = _NAME.search(reference.lower())
    return OPEN_CALM[found[1]] if found else None
