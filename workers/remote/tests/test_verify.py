"""`nagi verify` on cases that are not in the repository: sizes too large to commit, odd ones, and ones that must fail."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import nagi
from nagi_worker.golden import ADAMW, TARGETS, Case, write_case
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


def random_lora_case(seed: int) -> Case:
    """Odd sizes, any rank, any targets, any objective, any type of base; one row or one token now and then."""
    draw = random.Random(seed)
    heads = draw.choice([1, 2, 3, 5])
    head_dim = draw.choice([3, 4, 7, 8, 10, 16])
    task = draw.choice(["causal-lm", "causal-lm", "reward"])
    objective = draw.choice(["binary", "cross-entropy", "pairwise"]) if task == "reward" else None
    targets: Any = draw.sample(TARGETS, draw.randint(1, len(TARGETS)))
    if task == "causal-lm" and draw.random() < 0.5:
        targets.append("lm_head")
    if draw.random() < 0.2:
        targets = "all-linear"
    rank = draw.choice([1, 2, 4, 5, 8, 13])
    count = draw.choice([1, 2, 3, 5]) if objective != "pairwise" else draw.choice([2, 4, 6])
    rows = [draw.choice([1, 2, 3, 9, 17, 40]) for _ in range(count)]
    if task == "causal-lm":
        rows[0] = max(4, rows[0])  # the first two labels of row 0 are masked
    steps = draw.choice([0, 0, 3, 5])
    schedule = {"name": draw.choice(["linear", "cosine", "constant"]), "warmup_steps": draw.choice([0, 2]), "total_steps": steps}
    return Case(
        f"random-{seed}",
        task=task,
        objective=objective,
        hidden=heads * head_dim,
        heads=heads,
        layers=draw.choice([1, 2, 3]),
        intermediate=draw.choice([5, 24, 33, 64]),
        vocabulary=draw.choice([7, 61, 128, 301]),
        rotary=draw.choice([0.25, 0.5, 1.0]) if head_dim % 4 == 0 else 0.5,
        parallel=draw.random() < 0.5,
        attention_bias=draw.random() < 0.8,
        act=draw.choice(["gelu", "gelu_new", "relu"]),
        rows=tuple(rows),
        batches=draw.choice([1, 2, 3]) if steps else 1,
        steps=steps,
        optimizer={**ADAMW, "lr": 5e-3, "weight_decay": draw.choice([0.0, 0.1]), "schedule": schedule} if steps else {},
        dtype=draw.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16]),
        store=draw.choice(["safetensors", "safetensors", "bin"]),
        old_config=draw.random() < 0.3,
        lora={
            "r": rank,
            "lora_alpha": draw.choice([1, rank, 2 * rank, 16]),
            "lora_dropout": draw.choice([0.0, 0.1]),
            "use_rslora": draw.random() < 0.2,
            "target_modules": targets,
        },
        seed=seed,
    )


@pytest.mark.parametrize("seed", range(100, 108))
def test_random_lora_case_passes(seed: int, tmp_path: Path) -> None:
    case = random_lora_case(seed)
    write_case(case, tmp_path)
    code, report, stderr = nagi("verify", str(tmp_path))
    assert code == 0, f"{case}\n{report}\n{stderr}"
    assert {"loss", "grads", "merged", "logits" if case.task == "causal-lm" else "scores"} <= report.keys()
    assert ("trajectory" in report) == (case.steps > 0)


def test_adapter_that_is_not_plain_lora_names_the_field(tmp_path: Path) -> None:
    lora = {"r": 2, "lora_alpha": 2, "target_modules": ["dense"], "use_dora": True}
    write_case(Case("dora", rows=(6, 4), lora=lora), tmp_path)
    code, report, stderr = nagi("verify", str(tmp_path))
    assert (code, report) == (2, None)
    assert "use_dora" in stderr


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
