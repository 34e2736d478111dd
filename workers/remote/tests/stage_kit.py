"""For tests of stages: tiny models with the bundled tokenizer, slices of the bundled reviews, jobs, and ways to run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, GPTNeoXForSequenceClassification

from nagi_worker.stages import run as stage_run
from nagi_worker.stages.control import PAUSE, RUN, STOP

REVIEWS = REPOSITORY / "public" / "datasets" / "reviews-ja"
TOKENIZER = REPOSITORY / "public" / "models" / "nagi-base"
ROWS = {"train": 20, "validation": 8, "test": 8}
PROMPT = {"unit": "characters", "length": 5}
LORA = {"r": 2, "lora_alpha": 4, "lora_dropout": 0, "target_modules": ["query_key_value", "dense_4h_to_h"]}
ADAMW = {
    "learning_rate": 0.01,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.1,
    "weight_decay": 0.1,
    "adam_beta1": 0.9,
    "adam_beta2": 0.99,
    "adam_epsilon": 1e-6,
    "max_grad_norm": 1,
}
EPOCHS = {"num_train_epochs": 2, "max_steps": -1, "gradient_accumulation_steps": 1}
INTERVALS = {"eval_steps": 100, "save_steps": 100, "logging_steps": 1, "gradient_checkpointing": False}

SFT = {
    "stage": "sft", "id": "sft", "model": "base", "data": None, "labels": "all", "template": "{sentence}",
    "completion_only_loss": False, "packing": "bfd", "peft": LORA, **EPOCHS, "per_device_train_batch_size": 2, **ADAMW,
    "max_length": 48, **INTERVALS, "sample_texts": 0, "prompt": PROMPT,
}  # fmt: skip
REWARD = {
    "stage": "reward", "id": "reward", "model": "base", "data": None, "rows": None, "objective": "binary", "pairs": None,
    "peft": None, **EPOCHS, "per_device_train_batch_size": 4, **ADAMW, "max_length": 48, **INTERVALS,
}  # fmt: skip
MERGE = {"stage": "merge", "id": "merge", "adapter": "sft"}
PPO = {
    "stage": "ppo", "id": "ppo", "model": "base", "reward_model": "reward", "data": None, "prompt": PROMPT, "peft": LORA,
    "total_episodes": 12, "rollout_batch_size": 4, "num_ppo_epochs": 2, "num_mini_batches": 2, "response_length": 5,
    "temperature": 1, "reward_baseline": "auto", "reward_scaling": True, "reward_clip": 5, "missing_eos_penalty": 1,
    "kl_coef": 0.2, "kl_estimator": "k1", "target_kl": 6, "kl_horizon": 2000, "whiten_rewards": False, "gamma": 1,
    "lam": 0.95, "cliprange": 0.2, "cliprange_value": 0.2, "vf_coef": 0.1, **ADAMW, **INTERVALS, "sample_texts": 1,
}  # fmt: skip
DPO = {
    "stage": "dpo", "id": "dpo", "model": "base", "pairs": None, "data": None, "prompt": PROMPT, "peft": LORA,
    "beta": 0.25, "label_smoothing": 0, **EPOCHS, "per_device_train_batch_size": 4, **ADAMW, "max_length": 40,
    **INTERVALS, "sample_texts": 1,
}  # fmt: skip
EVALUATE = {
    "stage": "evaluate", "id": "evaluate", "models": ["base", "sft"], "reward_models": ["reward"], "data": None,
    "split": "test", "num_prompts": 4, "prompt": PROMPT,
    "generation": {"max_new_tokens": 5, "temperature": 1, "top_k": 0, "top_p": 1},
}  # fmt: skip
LAUNCH = {
    "launcher": "local", "num_processes": 1, "strategy": "ddp", "precision": "float32", "quantization": None,
    "gradient_checkpointing": False, "ray_address": None, "tracking": None, "algorithm": None,
}  # fmt: skip


def tiny_config(**more: Any) -> GPTNeoXConfig:
    return GPTNeoXConfig(
        vocab_size=8192, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, use_parallel_residual=False, bos_token_id=0, eos_token_id=0, pad_token_id=1,
        rope_parameters={"rope_type": "default", "rope_theta": 10000, "partial_rotary_factor": 1.0}, **more,
    )  # fmt: skip


def write_model(folder: Path, seed: int = 3, dtype: torch.dtype = torch.float32) -> Path:
    """A tiny language model with the bundled tokenizer. Weights are large enough for differences to show."""
    torch.manual_seed(seed)
    model = GPTNeoXForCausalLM(tiny_config(initializer_range=0.08)).to(dtype)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TOKENIZER / name, folder / name)
    return folder


def write_classifier(folder: Path, names: list[str], seed: int = 4, **config: Any) -> Path:
    """A tiny reward model with these labels."""
    torch.manual_seed(seed)
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    model = GPTNeoXForSequenceClassification(tiny_config(initializer_range=0.08, **labels))
    model.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **config}), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TOKENIZER / name, folder / name)
    return folder


def model_input(folder: Path, kind: str = "model", base: Path | None = None) -> dict[str, Any]:
    return {"path": str(folder), "kind": kind, **({"base": model_input(base)} if base else {})}


def write_job(
    folder: Path,
    stage: dict[str, Any],
    inputs: dict[str, Any],
    *,
    seed: int = 5,
    launch: dict[str, Any] | None = None,
    rows: dict[str, int] | None = None,
    pairs: Path | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """RUN_DIR with a job and slices of the reviews."""
    folder.mkdir(parents=True)
    data: dict[str, str | None] = {"pairs": str(pairs) if pairs else None}
    for split, count in (rows or ROWS).items():
        lines = (REVIEWS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        data[split] = str(folder / f"{split}.jsonl")
    run = {
        "name": "test",
        "seed": seed,
        "model": {"model_name_or_path": "bundled:tiny", "init": "pretrained"},
        "data": {"train": "bundled:train", "validation": "bundled:validation", "test": "bundled:test"},
        "stages": [stage],
        **(config or {}),
    }
    job = {
        "run_id": "run-1", "seed": seed, "stage": stage, "config": run, "inputs": inputs, "data": data,
        "launch": {**LAUNCH, **(launch or {})}, "parents": [], "name": stage["id"],
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return folder


def events(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [event for event in found if kind is None or event["type"] == kind]


def metrics_by_step(folder: Path, kind: str = "log") -> dict[int, dict[str, Any]]:
    """Of the last event of each step, without figures of the clock."""
    clock = {"tokens_per_second", "eps"}
    return {
        event["step"]: {key: value for key, value in event["metrics"].items() if key not in clock}
        for event in events(folder, kind)
    }


def run_here(folder: Path, wanted: Callable[[int], int] | None = None, patch: pytest.MonkeyPatch | None = None) -> int:
    """The stage in this process. @param wanted what the control says at the n-th look (0, 1, ...)"""
    if wanted is None or patch is None:
        return stage_run.main(folder)

    class Scripted:
        def __init__(self, path: Path) -> None:
            self.looks = 0

        def wanted(self) -> int:
            self.looks += 1
            return wanted(self.looks - 1)

    with patch.context() as patched:
        patched.setattr(stage_run, "Control", Scripted)
        return stage_run.main(folder)


def pause_at(look: int) -> Callable[[int], int]:
    return lambda n: PAUSE if n == look else RUN


def stop_at(look: int) -> Callable[[int], int]:
    return lambda n: STOP if n == look else RUN


def run_command(argv: list[str], timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """A stage by its command, as the service starts it."""
    path = str(REPOSITORY / "workers" / "remote")
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    environment.pop("NAGI_LAUNCHED", None)
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def tensors_equal(a: Path, b: Path) -> bool:
    """Whether two safetensors files hold the same bits."""
    from safetensors.torch import load_file

    one, other = load_file(a), load_file(b)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


PYTHON = sys.executable
