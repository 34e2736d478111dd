"""The memory preflight against the figures that were computed and measured for open-calm-7b, and its advice."""

from __future__ import annotations

from typing import Any

import pytest
import stage_kit as kit
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from nagi_worker.stages.preflight import (
    GIB,
    activation_bytes,
    kv_cache_bytes,
    lora_parameters,
    preflight,
    weight_bytes,
)
from nagi_worker.stages.shapes import OPEN_CALM, shape_of
from nagi_worker.wire import wire_schema

SEVEN = OPEN_CALM["7b"]
#: of the studio's defaults; r 8 on query_key_value is the notes' own adapter
LORA8 = {"r": 8, "lora_alpha": 16, "lora_dropout": 0, "target_modules": ["query_key_value"]}
LORA16 = {**LORA8, "r": 16, "target_modules": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]}
T4 = {"name": "Tesla T4", "memory_bytes": 15_360 * 2**20}
NAMES = list(OPEN_CALM)


def launch(**more: Any) -> dict[str, Any]:
    return {**kit.LAUNCH, "precision": "float16", **more}


def check(
    stage: dict[str, Any], how: dict[str, Any], devices: list[dict[str, Any]], size: str = "7b"
) -> dict[str, Any]:
    config = {
        "name": "x", "seed": 0, "model": {"model_name_or_path": f"hub:cyberagent/open-calm-{size}", "init": "pretrained"},
        "data": {"train": "a", "validation": "b", "test": None}, "stages": [stage],
    }  # fmt: skip
    result = preflight(config, stage["id"], how, devices)
    assert wire_schema().problem("result_preflight", result) is None
    assert sum(part["bytes"] for part in result["parts"]) == pytest.approx(result["needed_bytes"], abs=8)
    return result


@pytest.mark.parametrize(("quantization", "gib"), [(None, 12.8), ("8bit", 6.8), ("4bit", 3.9)])
def test_weights_of_7b(quantization: str | None, gib: float) -> None:
    assert weight_bytes(SEVEN, launch(quantization=quantization)) / GIB == pytest.approx(gib, abs=0.06)


def test_adapter_cache_and_activations_of_7b() -> None:
    assert lora_parameters(SEVEN, LORA8) == 4_194_304
    assert 16 * lora_parameters(SEVEN, LORA8) == 64 * 2**20
    assert kv_cache_bytes(SEVEN, 2) == 2**19
    assert activation_bytes(SEVEN, 1, 2, recompute=False) / 1e6 == pytest.approx(3.7, abs=0.05)
    assert activation_bytes(SEVEN, 1000, 2, recompute=True) / 1e9 == pytest.approx(0.26, rel=0.5)


@pytest.mark.parametrize("size", NAMES)
def test_parameters_of_every_size_are_transformers(size: str) -> None:
    shape = OPEN_CALM[size]
    config = GPTNeoXConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=16,
        intermediate_size=4 * shape.hidden,
    )
    with torch.device("meta"):
        model = GPTNeoXForCausalLM(config)
    assert shape.parameters == sum(one.numel() for one in model.parameters())
    assert shape_of(f"hub:cyberagent/open-calm-{size}@main") == shape


def test_7b_sft_with_an_adapter_on_two_gpus_of_16_gb_in_8_bit_fits() -> None:
    """The walk-through's own case; without quantization the same asks for it."""
    stage = {**kit.SFT, "peft": LORA16, "per_device_train_batch_size": 8, "max_length": 256}
    how = launch(launcher="accelerate", num_processes=2, quantization="8bit", gradient_checkpointing=True)
    result = check(stage, how, [T4, T4])
    assert result["fits"] and result["advice"] == []
    assert 7 * GIB < result["needed_bytes"] < 11 * GIB
    plain = check(stage, launch(launcher="accelerate", num_processes=2, gradient_checkpointing=True), [T4, T4])
    assert not plain["fits"]
    assert {"quantize_8bit", "quantize_4bit"} <= set(plain["advice"])


def test_advice_names_what_makes_it_fit() -> None:
    stage = {**kit.SFT, "peft": LORA16, "per_device_train_batch_size": 16, "max_length": 512}
    kept = check(stage, launch(quantization="8bit"), [T4])
    assert not kept["fits"]
    assert kept["advice"][0] == "gradient_checkpointing" and "smaller_batch" in kept["advice"]
    # The stage may ask for it as well as the launch.
    asked = check({**stage, "gradient_checkpointing": True}, launch(quantization="8bit"), [T4])
    assert asked == check(stage, launch(quantization="8bit", gradient_checkpointing=True), [T4])
    assert asked["needed_bytes"] < kept["needed_bytes"]
    whole = check({**stage, "peft": None}, launch(num_processes=2), [T4, T4], "1b")
    assert not whole["fits"] and "use_lora" in whole["advice"]
    # Nothing fits a 7B model trained as a whole into two such GPUs; what helps most is said.
    hopeless = check({**stage, "peft": None}, launch(num_processes=2), [T4, T4])
    assert not hopeless["fits"] and "shard" in hopeless["advice"]


def test_sharding_divides_the_weights() -> None:
    stage = {**kit.SFT, "peft": LORA8}
    one = check(stage, launch(num_processes=4), [T4] * 4)["parts"]
    four = check(stage, launch(num_processes=4, strategy="fsdp"), [T4] * 4)["parts"]
    parts = [{part["name"]: part["bytes"] for part in some} for some in (one, four)]
    assert parts[1]["weights"] == pytest.approx(parts[0]["weights"] / 4, abs=1)
    assert parts[1]["activations"] == parts[0]["activations"]


@pytest.mark.parametrize(
    "stage", [kit.SFT, kit.REWARD, kit.MERGE, kit.PPO, kit.DPO, kit.EVALUATE], ids=lambda one: one["id"]
)
@pytest.mark.parametrize("size", NAMES)
def test_every_stage_and_size_has_an_answer(stage: dict[str, Any], size: str) -> None:
    result = check(stage, launch(), [{"name": "a", "memory_bytes": 80 * GIB}], size)
    assert result["needed_bytes"] > 0 and result["available_bytes"] == 80 * GIB
    # Whatever is smaller needs less.
    if size != "small":
        assert result["needed_bytes"] > check(stage, launch(), [], "small")["needed_bytes"]


def test_unknown_memory_and_unknown_models_are_not_refused() -> None:
    result = check(kit.SFT, launch(), [{"name": "CPU", "memory_bytes": None}])
    assert result["fits"] and result["available_bytes"] is None
    config = {"model": {"model_name_or_path": "bundled:nagi-base", "init": "pretrained"}, "stages": [kit.SFT]}
    unknown = preflight(config, "sft", launch(), [T4])
    assert unknown["fits"] and unknown["parts"] == []
