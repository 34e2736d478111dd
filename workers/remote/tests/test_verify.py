"""`nagi verify` on cases that are not in the repository: sizes too large to commit, odd ones, and ones that must fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import nagi
from nagi_worker.golden import ADAMW, Case, write_case
from safetensors.torch import load_file, save_file

CASES = [
    Case("head-80", hidden=80, heads=1, vocabulary=257, intermediate=320, rows=(33, 70, 1), seed=1),
    Case("head-128-parallel", hidden=128, heads=1, rotary=0.25, parallel=True, vocabulary=199, layers=1, rows=(20, 65)),
    Case("head-127", hidden=127, heads=1, rotary=0.5, vocabulary=131, layers=1, rows=(19,), seed=3),
    Case("odd-rotary", hidden=14, heads=2, rotary=0.75, rows=(8, 5), seed=4),
    Case("no-rotary", hidden=12, heads=3, rotary=0.1, rows=(8, 5), seed=5),
    Case("vocabulary-8191", hidden=24, heads=2, vocabulary=8191, layers=1, rows=(17, 30), seed=6),
    Case("single-token", rows=(2,), layers=1, hidden=4, heads=1, intermediate=3, vocabulary=5, seed=7),
    Case("rope-theta", rope_theta=500.0, rows=(40, 7), rotary=0.5, hidden=24, heads=3, old_config=True, seed=8),
    Case("reward-one-row", task="reward", objective="binary", rows=(1,), seed=9),
    Case("reward-wide", task="reward", objective="cross-entropy", hidden=96, heads=2, rows=(1, 50, 33, 64, 2), seed=10),
    Case(
        "reward-pairwise-trajectory",
        task="reward",
        objective="pairwise",
        rows=(5, 9, 2, 7),
        batches=3,
        steps=9,
        optimizer={**ADAMW, "schedule": {"name": "linear", "warmup_steps": 3, "total_steps": 9}, "max_grad_norm": 0.3},
        seed=11,
    ),
    Case(
        "lm-trajectory-parallel",
        hidden=40,
        heads=5,
        parallel=True,
        rotary=0.5,
        rows=(21, 4, 13),
        batches=2,
        steps=8,
        optimizer={**ADAMW, "lr": 5e-3, "weight_decay": 0.1, "schedule": {"name": "cosine", "warmup_steps": 0, "total_steps": 8}},
        seed=12,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_passes(case: Case, tmp_path: Path) -> None:
    write_case(case, tmp_path)
    code, report, stderr = nagi("verify", str(tmp_path))
    assert code == 0, f"{report}\n{stderr}"
    assert report["pass"] is True


def test_wrong_gradient_fails(tmp_path: Path) -> None:
    write_case(Case("wrong", rows=(6, 4)), tmp_path)
    expected = load_file(tmp_path / "expected.safetensors")
    expected["grad.gpt_neox.layers.1.mlp.dense_4h_to_h.weight"] *= 1.01
    save_file(expected, tmp_path / "expected.safetensors")
    code, report, _ = nagi("verify", str(tmp_path))
    assert code == 1
    assert report["pass"] is False


def test_nan_never_passes(tmp_path: Path) -> None:
    write_case(Case("nan", rows=(6, 4)), tmp_path)
    expected = load_file(tmp_path / "expected.safetensors")
    expected["loss"][0] = float("nan")
    save_file(expected, tmp_path / "expected.safetensors")
    code, report, _ = nagi("verify", str(tmp_path))
    assert code == 1, report


def test_unreadable_case_names_what(tmp_path: Path) -> None:
    write_case(Case("unreadable", rows=(6, 4)), tmp_path)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"\xff" * 64)
    code, report, stderr = nagi("verify", str(tmp_path))
    assert code == 2
    assert report is None
    assert "model.safetensors" in stderr
