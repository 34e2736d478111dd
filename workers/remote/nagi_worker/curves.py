"""Loss curves of the worker beside those of the studio's engine: same weights, same seed, same rows in the same order.

    python -m nagi_worker.curves docs/remote-worker-curves.md

runs a tiny model through the command line's engine (`nagi run`) and through the worker's stages, and writes one table a
stage: step, both losses, both gradient norms. tests/test_stage_curves.py holds the same runs to a tolerance.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

REPOSITORY = Path(__file__).resolve().parents[3]
REVIEWS = REPOSITORY / "public" / "datasets" / "reviews-ja"
TOKENIZER = REPOSITORY / "public" / "models" / "nagi-base"
SEED = 20
ROWS = {"train": 36, "validation": 10}
#: largest relative deviation of a step's loss and of its gradient's norm
LOSS_TOLERANCE, NORM_TOLERANCE = 2e-4, 2e-3

LORA = {"r": 4, "lora_alpha": 8, "lora_dropout": 0, "target_modules": ["query_key_value", "dense", "embed_out"]}
OPTIMIZER = {
    "learning_rate": 0.01, "lr_scheduler_type": "cosine", "warmup_ratio": 0.1, "weight_decay": 0.1, "adam_beta1": 0.9,
    "adam_beta2": 0.99, "adam_epsilon": 1e-6, "max_grad_norm": 1, "eval_steps": 1000, "save_steps": 1000,
    "logging_steps": 1,
}  # fmt: skip
PACKED = {
    "stage": "sft", "id": "packed", "peft": LORA, "packing": "bfd", "max_length": 64, "num_train_epochs": 2,
    "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "sample_texts": 0, **OPTIMIZER,
    "template": "感想:{sentence}", "completion_only_loss": True,
}  # fmt: skip
WHOLE = {**PACKED, "id": "wrapped", "peft": None, "packing": "wrapped", "completion_only_loss": False}
REWARD = {
    "stage": "reward", "id": "reward", "peft": None, "objective": "binary", "rows": {"part": 0, "of": 2},
    "max_length": 64, "num_train_epochs": 2, "per_device_train_batch_size": 3, "gradient_accumulation_steps": 2, **OPTIMIZER,
}  # fmt: skip
PAIRWISE = {
    **REWARD, "id": "pairwise", "rows": None, "objective": "pairwise", "per_device_train_batch_size": 4,
    "peft": {**LORA, "target_modules": ["query_key_value", "dense_h_to_4h"]},
}  # fmt: skip
DPO = {
    "stage": "dpo",
    "id": "dpo",
    "model": "base",
    "peft": LORA,
    "beta": 0.25,
    "label_smoothing": 0.1,
    "max_length": 48,
    "num_train_epochs": 1,
    "per_device_train_batch_size": 3,
    "gradient_accumulation_steps": 2,
    "sample_texts": 0,
    **OPTIMIZER,
}
STAGES = [PACKED, WHOLE, REWARD, PAIRWISE, DPO]
TITLES = {
    "packed": "SFT, adapter (output matrix too), rows packed by best fit, template, loss of the completion only",
    "wrapped": "SFT, every weight, run-on text",
    "reward": "Reward model, every weight, binary, half of the rows",
    "pairwise": "Reward model, adapter and head, pairs drawn from labels anew in every epoch",
    "dpo": "DPO, adapter (output matrix too), pairs drawn from labels, label smoothing",
}


@dataclass(frozen=True)
class Point:
    step: int
    worker_loss: float
    engine_loss: float
    worker_norm: float
    engine_norm: float

    @property
    def loss_deviation(self) -> float:
        return abs(self.worker_loss / self.engine_loss - 1)

    @property
    def norm_deviation(self) -> float:
        return abs(self.worker_norm / self.engine_norm - 1)


def write_model(folder: Path) -> None:
    """A tiny model with the bundled tokenizer."""
    torch.manual_seed(SEED)
    config = GPTNeoXConfig(
        vocab_size=8192, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=64, use_parallel_residual=False, bos_token_id=0, eos_token_id=0, pad_token_id=1,
        initializer_range=0.08,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((TOKENIZER / name).read_bytes())


def write_rows(folder: Path) -> dict[str, str | None]:
    data: dict[str, str | None] = {"test": None}
    for split, count in ROWS.items():
        lines = (REVIEWS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        path = folder / f"{split}.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        data[split] = str(path)
    return data


def run_engine(folder: Path, data: dict[str, str | None]) -> dict[str, Any]:
    """`nagi run` of all stages; returns the configuration with every default filled in."""
    config = {
        "name": "curves", "seed": SEED, "model": {"model_name_or_path": str(folder / "model")}, "data": data,
        "stages": STAGES,
    }  # fmt: skip
    path = folder / "run.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    command = ["node", str(REPOSITORY / ".ci" / "nagi.mjs"), "run", str(path), "--out", str(folder / "engine")]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "engine" / "report.json").read_text(encoding="utf-8"))["config"]


def run_worker(folder: Path, data: dict[str, str | None], config: dict[str, Any], stage: dict[str, Any]) -> Path:
    """The same stage by `python -m nagi_worker.stages`."""
    run = folder / "worker" / stage["id"]
    run.mkdir(parents=True)
    model = {"path": str(folder / "model"), "kind": "local"}
    launch = {"launcher": "local", "num_processes": 1, "strategy": "ddp", "precision": "float32", "quantization": None}
    job = {
        "run_id": "curves", "seed": SEED, "stage": stage, "config": config, "inputs": {"model": model},
        "data": {**data, "pairs": None}, "launch": launch, "parents": [], "name": stage["id"],
    }  # fmt: skip
    (run / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-m", "nagi_worker.stages", str(run)]
    subprocess.run(command, cwd=REPOSITORY / "workers" / "remote", check=True, stdout=subprocess.DEVNULL)
    return run / "events.jsonl"


def logged(path: Path) -> dict[int, dict[str, float]]:
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {event["step"]: event["metrics"] for event in events if event["type"] == "log"}


def compare(folder: Path) -> dict[str, list[Point]]:
    """Runs everything in a folder; a curve a stage. Raises ValueError where the two took different steps."""
    write_model(folder / "model")
    data = write_rows(folder)
    config = run_engine(folder, data)
    curves: dict[str, list[Point]] = {}
    for stage in config["stages"]:
        worker = logged(run_worker(folder, data, config, stage))
        engine = logged(folder / "engine" / "stages" / stage["id"] / "metrics.jsonl")
        if worker.keys() != engine.keys():
            raise ValueError(f"{stage['id']}: {len(worker)} steps of the worker, {len(engine)} of the engine")
        for step, metrics in worker.items():
            for key in ("learning_rate", "num_tokens", "epoch"):
                if not abs(metrics[key] - engine[step][key]) <= 1e-9:
                    raise ValueError(f"{stage['id']}, step {step}: {key} {metrics[key]} and {engine[step][key]}")
        curves[stage["id"]] = [
            Point(step, one["loss"], engine[step]["loss"], one["grad_norm"], engine[step]["grad_norm"])
            for step, one in sorted(worker.items())
        ]
    return curves


def as_markdown(curves: dict[str, list[Point]]) -> str:
    lines = [
        "# Loss curves of the worker and of the browser's engine",
        "",
        "Generated by `python -m nagi_worker.curves docs/remote-worker-curves.md`: a tiny model (2 layers, 24 wide, the",
        "bundled tokenizer), the same seed, the same rows in the same order, float32 on the CPU. The engine is `nagi run`",
        "(WebGPU on Dawn), the worker is PyTorch. `workers/remote/tests/test_stage_curves.py` holds the same runs to",
        f"{LOSS_TOLERANCE:g} (loss) and {NORM_TOLERANCE:g} (gradient norm), relative; the largest deviations here stand above each table.",
        "",
    ]
    for name, points in curves.items():
        loss = max(point.loss_deviation for point in points)
        norm = max(point.norm_deviation for point in points)
        lines += [
            f"## {TITLES[name]}",
            "",
            f"Largest relative deviation: loss {loss:.1e}, gradient norm {norm:.1e}.",
            "",
            "| step | worker loss | engine loss | worker grad_norm | engine grad_norm |",
            "|---:|---:|---:|---:|---:|",
            *(
                f"| {one.step} | {one.worker_loss:.6f} | {one.engine_loss:.6f} | {one.worker_norm:.5f} | {one.engine_norm:.5f} |"
                for one in points
            ),
            "",
        ]
    return "\n".join(lines)


def main(target: Path) -> None:
    """Writes the tables."""
    with tempfile.TemporaryDirectory() as scratch:
        curves = compare(Path(scratch))
    target.write_text(as_markdown(curves), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
