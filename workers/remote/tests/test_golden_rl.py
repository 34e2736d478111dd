"""The committed numbers for PPO and DPO are what the script writes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from conftest import REPOSITORY
from nagi_worker.golden_rl import write
from safetensors.torch import load_file

GOLDEN = REPOSITORY / "workers" / "engine" / "golden"


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two JSON values differ by more than rounding."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [line for key in a for line in differences(a[key], b[key], f"{path}.{key}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [line for i, pair in enumerate(zip(a, b)) for line in differences(*pair, f"{path}[{i}]")]
    if isinstance(a, float) and isinstance(b, float):
        return [] if math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) else [f"{path}: {a} and {b}"]
    return [] if a == b else [f"{path}: {a} and {b}"]


def test_numbers_are_reproducible(tmp_path: Path) -> None:
    write(tmp_path)
    read = lambda folder: json.loads((folder / "rl.json").read_text())  # noqa: E731
    assert differences(read(tmp_path), read(GOLDEN)) == []
    fresh, kept = load_file(tmp_path / "rl.safetensors"), load_file(GOLDEN / "rl.safetensors")
    assert fresh.keys() == kept.keys()
    for name, tensor in fresh.items():
        torch.testing.assert_close(tensor, kept[name], rtol=1e-4, atol=1e-6, msg=name)
