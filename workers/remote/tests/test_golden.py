"""The committed golden cases are what the script writes: numbers, weights and descriptions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY
from nagi_worker.golden import CASES, write_case
from safetensors.torch import load_file

GOLDEN = REPOSITORY / "workers" / "engine" / "golden"


def test_every_folder_has_a_case() -> None:
    assert {path.name for path in GOLDEN.iterdir() if path.is_dir()} == {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_is_reproducible(case, tmp_path: Path) -> None:
    write_case(case, tmp_path)
    stored = GOLDEN / case.name
    assert json.loads((tmp_path / "case.json").read_text()) == json.loads((stored / "case.json").read_text())
    fresh, kept = load_file(tmp_path / "expected.safetensors"), load_file(stored / "expected.safetensors")
    assert fresh.keys() == kept.keys()
    for name, tensor in fresh.items():
        torch.testing.assert_close(tensor, kept[name], rtol=1e-5, atol=1e-6, msg=name)
