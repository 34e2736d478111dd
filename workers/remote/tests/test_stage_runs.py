"""Stages from end to end on tiny models: what they leave, that paused and resumed is uninterrupted, that events are the protocol's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import stage_kit as kit
import torch
from safetensors.torch import load_file
from transformers import GPTNeoXForCausalLM, GPTNeoXForSequenceClassification

from nagi_worker.stages.job import FAILED, FINISHED, PAUSED, STOPPED
from nagi_worker.wire import wire_schema


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.write_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = {"nagi_reward": {"threshold": 0, "max_length": 48}}
    return kit.write_classifier(tmp_path_factory.mktemp("judge"), ["reward"], **facts)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = kit.write_job(tmp_path_factory.mktemp("sft") / "run", kit.SFT, {"model": kit.model_input(base)})
    assert kit.run_here(folder) == FINISHED
    return folder


def check_events(folder: Path) -> None:
    """Every line is an event of the protocol once the service has numbered it."""
    for seq, event in enumerate(kit.events(folder)):
        assert wire_schema().problem("run_event", {**event, "run_id": "run-1", "seq": seq}) is None, event


STAGES: dict[str, dict[str, Any]] = {
    "sft": {**kit.SFT, "sample_texts": 1},
    "sft-whole-wrapped": {**kit.SFT, "peft": None, "packing": "wrapped"},
    "reward": kit.REWARD,
    "reward-pairwise-lora": {**kit.REWARD, "objective": "pairwise", "peft": kit.LORA},
    "reward-cross-entropy-accumulated": {
        **kit.REWARD, "objective": "cross-entropy", "per_device_train_batch_size": 3, "gradient_accumulation_steps": 2,
    },
    "dpo": {**kit.DPO, "label_smoothing": 0.1},
    "ppo": kit.PPO,
}  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_paused_and_resumed_is_uninterrupted(
    name: str, base: Path, judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = STAGES[name]
    inputs = {"model": kit.model_input(base)}
    if stage["stage"] == "ppo":
        inputs["reward_model"] = kit.model_input(judge, "reward_model")
    # Log events over three steps: what was collected for the next one has to be resumed as well.
    stage = {**stage, "logging_steps": 1 if stage["stage"] == "ppo" else 3}
    straight = kit.write_job(tmp_path / "straight", stage, inputs)
    paused = kit.write_job(tmp_path / "paused", stage, inputs)
    assert kit.run_here(straight) == FINISHED
    # The first look is before the first step.
    assert kit.run_here(paused, kit.pause_at(2), monkeypatch) == PAUSED
    assert kit.events(paused)[-1]["type"] == "checkpoint"
    assert not (paused / "output").exists()
    assert kit.run_here(paused) == FINISHED
    assert [event["step"] for event in kit.events(paused, "resumed")] == [2]
    assert kit.metrics_by_step(paused) == kit.metrics_by_step(straight)
    assert kit.metrics_by_step(paused, "eval") == kit.metrics_by_step(straight, "eval")
    weights = next(path.name for path in (straight / "output").glob("*.safetensors"))
    assert kit.tensors_equal(straight / "output" / weights, paused / "output" / weights)
    check_events(straight)
    check_events(paused)
    kinds = [event["type"] for event in kit.events(straight)]
    assert kinds[0] == "prepared" and kinds[-1] == "result" and "eval" in kinds
    assert kit.events(straight, "prepared")[0]["total_steps"] == max(kit.metrics_by_step(straight))


@pytest.mark.parametrize("name", ["sft", "reward-pairwise-lora", "ppo"])
def test_half_precision_and_recomputation_change_little(name: str, base: Path, judge: Path, tmp_path: Path) -> None:
    """The base in bfloat16, what is trained in float32, activations computed twice."""
    stage = {**STAGES[name], "total_episodes": 4} if name == "ppo" else {**STAGES[name], "max_steps": 3}
    inputs = {"model": kit.model_input(base), "reward_model": kit.model_input(judge, "reward_model")}
    plain = kit.write_job(tmp_path / "plain", stage, inputs)
    # Of the two places that may ask for recomputation, each is used.
    recompute = {"gradient_checkpointing": True}
    asked, launch = (stage, recompute) if name == "sft" else ({**stage, **recompute}, {})
    half = kit.write_job(tmp_path / "half", asked, inputs, launch={"precision": "bfloat16", **launch})
    assert kit.run_here(plain) == FINISHED
    # In a process of its own: accelerate fixes the precision of a process with its first use.
    done = kit.run_command([kit.PYTHON, "-m", "nagi_worker.stages", str(half)])
    assert done.returncode == FINISHED, done.stderr[-3000:]
    key = "objective/entropy" if name == "ppo" else "loss"
    for step, metrics in kit.metrics_by_step(plain).items():
        found = kit.metrics_by_step(half)[step]
        assert found[key] == pytest.approx(metrics[key], rel=0.05), step
        assert found["grad_norm"] > 0
    weights = next((half / "output").glob("*.safetensors"))
    assert {tensor.dtype for tensor in load_file(weights).values()} == {torch.float32}


def test_a_stopped_run_keeps_its_checkpoint_and_a_job_of_other_settings_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = kit.write_job(tmp_path / "run", kit.SFT, {"model": kit.model_input(base)})
    assert kit.run_here(folder, kit.stop_at(3), monkeypatch) == STOPPED
    assert (folder / "checkpoints" / "step-3" / "nagi_state.json").is_file()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    job["stage"]["learning_rate"] = 0.5
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    assert kit.run_here(folder) == FAILED
    error = json.loads((folder / "error.json").read_text(encoding="utf-8"))
    assert error["code"] == "config.invalid" and error["details"]["path"] == "stage"


def test_checkpoints_at_intervals_on_request_and_the_newest_two_stay(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nagi_worker.stages.control import CHECKPOINT, RUN

    stage = {**kit.REWARD, "save_steps": 2, "eval_steps": 2}
    folder = kit.write_job(tmp_path / "run", stage, {"model": kit.model_input(base)})
    # Looks: before the first step, then after each.
    assert kit.run_here(folder, lambda look: CHECKPOINT if look == 3 else RUN, monkeypatch) == FINISHED
    assert [event["step"] for event in kit.events(folder, "checkpoint")] == [2, 3, 4, 6, 8, 10]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-10", "step-8"]
    assert [event["step"] for event in kit.events(folder, "eval")] == [2, 4, 6, 8, 10]


def test_a_control_file_asks_for_one_checkpoint_each_time_it_is_written(tmp_path: Path) -> None:
    from nagi_worker.stages.control import CHECKPOINT, RUN, STOP, Control

    control = Control(tmp_path / "control")
    assert control.wanted() == RUN
    for _ in range(2):
        partial = tmp_path / "partial"
        partial.write_text("checkpoint", encoding="utf-8")
        partial.replace(tmp_path / "control")
        assert [control.wanted(), control.wanted()] == [CHECKPOINT, RUN]
    (tmp_path / "control").write_text("stop", encoding="utf-8")
    assert [control.wanted(), control.wanted()] == [STOP, STOP]


def test_merge_folds_the_adapter_in(base: Path, adapter: Path, tmp_path: Path) -> None:
    inputs = {"adapter": kit.model_input(adapter / "output", "adapter", base)}
    folder = kit.write_job(tmp_path / "run", kit.MERGE, inputs)
    assert kit.run_here(folder) == FINISHED
    check_events(folder)
    metrics = kit.events(folder, "result")[0]["metrics"]
    assert 0 <= metrics["logits_max_deviation"] <= 1e-5
    assert metrics["adapter_max_effect"] > 1e-3
    merged = load_file(folder / "output" / "model.safetensors")
    matrices = load_file(adapter / "output" / "adapter_model.safetensors")
    plain = load_file(base / "model.safetensors")
    name = "gpt_neox.layers.1.attention.query_key_value"
    a, b = (matrices[f"base_model.model.{name}.lora_{side}.weight"].double() for side in "AB")
    expected = (plain[f"{name}.weight"].double() + 2 * b @ a).float()
    assert torch.equal(merged[f"{name}.weight"], expected)
    # The file's name of the output matrix is the studio's, not that of transformers 5.
    assert "embed_out.weight" in merged and "lm_head.weight" not in merged
    assert json.loads((folder / "output.json").read_text(encoding="utf-8"))["kind"] == "model"


def test_a_merge_without_rows_compares_nothing(base: Path, adapter: Path, tmp_path: Path) -> None:
    inputs = {"adapter": kit.model_input(adapter / "output", "adapter", base)}
    folder = kit.write_job(tmp_path / "run", kit.MERGE, inputs, rows={"train": 2})
    assert kit.run_here(folder) == FINISHED
    check_events(folder)
    assert kit.events(folder, "result")[0]["metrics"] == {"texts": 0, "tokens": 0}
    assert (folder / "output" / "model.safetensors").is_file()


def test_a_merge_of_a_half_precision_model_sums_in_full_precision_and_is_sharded(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nagi_worker.stages import saving

    half = kit.write_model(tmp_path / "half", dtype=torch.float16)
    inputs = {"adapter": kit.model_input(adapter / "output", "adapter", half)}
    folder = kit.write_job(tmp_path / "run", kit.MERGE, inputs)
    monkeypatch.setattr(saving.write_model, "__defaults__", (None, "100KB"))
    assert kit.run_here(folder) == FINISHED
    index = json.loads((folder / "output" / "model.safetensors.index.json").read_text(encoding="utf-8"))
    assert len(set(index["weight_map"].values())) > 1
    merged = GPTNeoXForCausalLM.from_pretrained(folder / "output", dtype="auto")
    assert merged.dtype == torch.float16
    matrices = load_file(adapter / "output" / "adapter_model.safetensors")
    name = "gpt_neox.layers.0.mlp.dense_4h_to_h"
    a, b = (matrices[f"base_model.model.{name}.lora_{side}.weight"].double() for side in "AB")
    plain = load_file(half / "model.safetensors")[f"{name}.weight"]
    expected = (plain.double() + 2 * b @ a).half()
    assert torch.equal(merged.get_submodule(name).weight.data, expected)


def test_evaluate_writes_the_same_for_the_same_model_and_judges_it(
    base: Path, judge: Path, adapter: Path, tmp_path: Path
) -> None:
    sources = {
        "models.0": kit.model_input(base),
        "models.1": kit.model_input(adapter / "output", "adapter", base),
        "reward_models.0": kit.model_input(judge, "reward_model"),
    }
    folder = kit.write_job(tmp_path / "run", kit.EVALUATE, sources)
    assert kit.run_here(folder) == FINISHED
    check_events(folder)
    lines = [
        json.loads(line) for line in (folder / "output" / "generations.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [line["model"] for line in lines] == ["base"] * 4 + ["sft"] * 4
    assert [line["item"] for line in lines] == [0, 1, 2, 3] * 2
    assert all(line["kl"] == 0 for line in lines[:4]) and any(line["kl"] != 0 for line in lines[4:])
    metrics = kit.events(folder, "result")[0]["metrics"]
    assert metrics["reward_sft_mean"] == pytest.approx(sum(line["rewards"]["reward"] for line in lines[:4]) / 4)
    assert (
        metrics["reward_difference_ci95_low"] <= metrics["reward_difference"] <= metrics["reward_difference_ci95_high"]
    )


def test_a_reward_model_is_read_by_transformers_and_gives_the_stored_rewards(base: Path, tmp_path: Path) -> None:
    from nagi_worker.stages.texts import Texts

    folder = kit.write_job(tmp_path / "run", {**kit.REWARD, "peft": kit.LORA}, {"model": kit.model_input(base)})
    assert kit.run_here(folder) == FINISHED
    model = GPTNeoXForSequenceClassification.from_pretrained(folder / "output", dtype=torch.float32).eval()
    texts = Texts(folder / "output")
    for sample in kit.events(folder, "result")[0]["samples"]:
        ids, cut = texts.encode_text(sample["sentence"], 48)
        assert cut == sample["truncated"]
        with torch.no_grad():
            logit = model(input_ids=torch.tensor([ids])).logits[0, 0].item()
        assert logit == pytest.approx(sample["reward"], abs=1e-5)
    facts = json.loads((folder / "output" / "config.json").read_text(encoding="utf-8"))
    assert facts["nagi_reward"] == {"threshold": 0, "max_length": 48}


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ('{"sentence": "良い"}', "data.missing_column"),
        ('{"sentence": "良い", "label": "meh"}', "data.bad_label"),
        ("not json", "data.not_json"),
    ],
)
def test_bad_rows_are_said_with_file_and_line(broken: str, code: str, base: Path, tmp_path: Path) -> None:
    folder = kit.write_job(tmp_path / "run", kit.REWARD, {"model": kit.model_input(base)})
    path = folder / "train.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:3], broken, *lines[3:]]), encoding="utf-8")
    assert kit.run_here(folder) == FAILED
    error = json.loads((folder / "error.json").read_text(encoding="utf-8"))
    assert error["code"] == code
    assert error["details"]["line"] == 4 and error["details"]["file"] == "bundled:train"
    assert wire_schema().problem("error_data", error) is None


def test_divergence_is_an_event_and_an_error(base: Path, tmp_path: Path) -> None:
    stage = {
        **kit.SFT,
        "peft": None,
        "learning_rate": 1e18,
        "max_grad_norm": 0,
        "warmup_ratio": 0,
        "lr_scheduler_type": "constant",
    }
    folder = kit.write_job(tmp_path / "run", stage, {"model": kit.model_input(base)})
    assert kit.run_here(folder) == FAILED
    assert json.loads((folder / "error.json").read_text(encoding="utf-8"))["code"] == "run.diverged"
    assert kit.events(folder)[-1]["type"] == "diverged"
    assert "NaN" not in (folder / "events.jsonl").read_text(encoding="utf-8")
