"""The worker and the studio's engine beside each other: the same SFT and reward curves from the same seed, rows and weights,
and each reads what the other has made.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY, nagi
from safetensors.torch import save_file

from nagi_worker.curves import LOSS_TOLERANCE, NORM_TOLERANCE, STAGES, TITLES, Point, compare
from nagi_worker.stages.adapters import attach_adapter
from nagi_worker.stages.job import Input
from nagi_worker.stages.models import load_causal
from nagi_worker.stages.scoring import RewardModel

Curves = tuple[Path, dict[str, list[Point]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Curves:
    folder = tmp_path_factory.mktemp("curves")
    return folder, compare(folder)


@pytest.mark.parametrize("stage", [stage["id"] for stage in STAGES])
def test_every_step_agrees(stage: str, run: Curves) -> None:
    points = run[1][stage]
    assert len(points) >= 4
    for point in points:
        assert point.loss_deviation <= LOSS_TOLERANCE, point
        assert point.norm_deviation <= NORM_TOLERANCE, point
    # A curve that stood still would agree with everything.
    assert abs(points[-1].worker_loss - points[0].worker_loss) > 100 * LOSS_TOLERANCE


# Beside an adapter the engine keeps the frozen weights in half precision where the GPU can; what it stores is whole.
@pytest.mark.parametrize(("stage", "tolerance"), [("reward", 2e-4), ("pairwise", 2e-3)])
def test_the_worker_reads_a_reward_model_that_the_engine_trained(stage: str, tolerance: float, run: Curves) -> None:
    """Its rewards of the validation rows are those in the engine's result, as PPO would ask for them."""
    folder = run[0] / "engine" / "stages" / stage
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    result = next(event for event in map(json.loads, lines) if event["type"] == "result")
    judge = RewardModel(Input(str(folder / "model"), "reward_model"), torch.float32, torch.device("cpu"))
    rewards = judge.score([sample["sentence"] for sample in result["samples"]])
    assert rewards == pytest.approx([sample["reward"] for sample in result["samples"]], abs=tolerance)


def test_the_engine_reads_an_adapter_and_weights_that_the_worker_trained(run: Curves, tmp_path: Path) -> None:
    """`nagi verify` with logits and loss by transformers and peft: output matrix adapted, names on disk the studio's."""
    adapter = run[0] / "worker" / "packed" / "output"
    model = attach_adapter(load_causal(Input(str(run[0] / "model"), "model"), torch.float32), adapter)
    ids = torch.tensor([[300, 901, 77, 4000, 12, 0], [5000, 640, 0, 1, 1, 1]])
    mask = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
    labels = ids.masked_fill(mask == 0, -100)
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=mask, labels=labels)
    write_case(tmp_path / "adapted", "lora", ids, mask, labels, output.logits * mask[..., None], output.loss)
    shutil.copytree(run[0] / "model", tmp_path / "adapted" / "model")
    shutil.copytree(adapter, tmp_path / "adapted" / "adapter")
    whole = run[0] / "worker" / "wrapped" / "output"
    with torch.no_grad():
        output = load_causal(Input(str(whole), "model"), torch.float32)(
            input_ids=ids, attention_mask=mask, labels=labels
        )
    write_case(tmp_path / "whole", "full", ids, mask, labels, output.logits * mask[..., None], output.loss)
    shutil.copytree(whole, tmp_path / "whole" / "model")
    for case in ("adapted", "whole"):
        code, report, stderr = nagi("verify", str(tmp_path / case))
        assert code == 0, stderr
        assert report["pass"] is True


def write_case(
    folder: Path,
    train: str,
    ids: torch.Tensor,
    mask: torch.Tensor,
    labels: torch.Tensor,
    logits: torch.Tensor,
    loss: torch.Tensor,
) -> None:
    folder.mkdir()
    case = {
        "task": "causal-lm",
        "train": train,
        "input_ids": ids.tolist(),
        "attention_mask": mask.tolist(),
        "labels": labels.tolist(),
    }
    (folder / "case.json").write_text(json.dumps(case), encoding="utf-8")
    save_file({"logits": logits.contiguous(), "loss": loss.reshape(1)}, folder / "expected.safetensors")


def test_the_committed_tables_are_of_these_stages() -> None:
    text = Path(REPOSITORY / "docs" / "remote-worker-curves.md").read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(TITLES.values())
