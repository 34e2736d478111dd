"""Whether a stage fits the memory of one device, by parts, and what to change where it does not. Light to import.

Everything is computed from the model's shape; docs/remote-stages.md says what the constants are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .job import launch_of
from .shapes import Shape, shape_of

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
GIB = 2**30
#: CUDA context and libraries, and what the allocator cannot use
CONTEXT, FRAGMENTATION = int(0.7 * GIB), 0.05
#: float32 weight, gradient and AdamW's two moments
TRAINED = 16
#: activations kept for the backward pass: bytes a token, a layer and a hidden unit, at two bytes a number
KEPT, RECOMPUTED = 28.2, 2
#: numbers a chunk of logits: trl computes the loss of so many tokens at a time
LOGITS_CHUNK = 256
#: texts that PPO and evaluations write at a time, and the largest micro-batch of PPO in tokens
GENERATED, PPO_TOKENS = 64, 4096
#: Japanese text of a character is at most so many tokens
TOKENS_A_CHARACTER = 2

Parts = dict[str, float]


def preflight(
    config: dict[str, Any],
    stage_id: str,
    launch: dict[str, Any],
    devices: Sequence[dict[str, Any]],
    shapes: dict[str, Shape] | None = None,
) -> dict[str, Any]:
    """{fits, needed_bytes, available_bytes, parts, advice} of a stage on the smallest of the devices it would use.

    @param config RunConfig
    @param devices {name, memory_bytes} each, as the worker shows them
    @param shapes of models by reference, where config.json is at hand
    """
    stage = next(stage for stage in config["stages"] if stage["id"] == stage_id)
    launch = launch_of(stage, launch)
    available = _available(devices, launch["num_processes"])
    shape = _model_shape(config, shapes or {})
    if shape is None:
        return {"fits": True, "needed_bytes": 0, "available_bytes": available, "parts": [], "advice": []}
    needed = _needed(stage, launch, shape)
    fits = available is None or needed <= available
    parts = [{"name": name, "bytes": round(size)} for name, size in _parts(stage, launch, shape).items()]
    advice = [] if fits else _advice(stage, launch, shape, available or 0)
    return {
        "fits": fits,
        "needed_bytes": round(needed),
        "available_bytes": available,
        "parts": parts,
        "advice": advice,
    }


def _available(devices: Sequence[dict[str, Any]], count: int) -> int | None:
    known = sorted((one["memory_bytes"] for one in devices if one["memory_bytes"] is not None), reverse=True)
    return known[: max(1, count)][-1] if known else None


def _model_shape(config: dict[str, Any], shapes: dict[str, Shape]) -> Shape | None:
    """Of the run's model: every stage works on it, or on what was made of it."""
    reference = config["model"]["model_name_or_path"]
    folder = Path(reference.removeprefix("local:"))
    if reference in shapes:
        return shapes[reference]
    if reference.startswith("local:") and (folder / "config.json").is_file():
        return shape_of(reference, json.loads((folder / "config.json").read_text(encoding="utf-8")))
    return shape_of(reference)


def _needed(stage: dict[str, Any], launch: dict[str, Any], shape: Shape) -> float:
    return sum(_parts(stage, launch, shape).values())


def _parts(stage: dict[str, Any], launch: dict[str, Any], shape: Shape) -> Parts:
    """Bytes on one device, by what they are for."""
    kind = stage["stage"]
    if kind == "merge":
        return _merge_parts(shape)
    parts = _evaluate_parts(stage, launch, shape) if kind == "evaluate" else _training_parts(stage, launch, shape)
    parts["reserve"] = CONTEXT + FRAGMENTATION * sum(parts.values())
    return parts


def weight_bytes(shape: Shape, launch: dict[str, Any]) -> float:
    """A frozen model: 8bit and 4bit take the layers' matrices only."""
    number = BYTES[launch["precision"]]
    linear = {"8bit": 1.0, "4bit": 0.5 + 0.516 / 32}.get(launch["quantization"] or "", float(number))
    # Beside quantized matrices the rest is half precision.
    other = min(number, 2) if launch["quantization"] else number
    return linear * shape.linear_parameters + other * shape.other_parameters


def lora_parameters(shape: Shape, peft: dict[str, Any]) -> int:
    """Numbers of an adapter: r times inputs and outputs of each linear."""
    hidden = shape.hidden
    sizes = {
        "query_key_value": 4 * hidden,
        "dense": 2 * hidden,
        "dense_h_to_4h": 5 * hidden,
        "dense_4h_to_h": 5 * hidden,
    }
    layer = sum(sizes[target] for target in peft["target_modules"] if target in sizes)
    output = shape.vocabulary + hidden if "embed_out" in peft["target_modules"] else 0
    return int(peft["r"] * (shape.layers * layer + output))


def kv_cache_bytes(shape: Shape, number: int) -> int:
    """A token's keys and values."""
    return 2 * shape.layers * shape.hidden * number


def _shards(launch: dict[str, Any]) -> tuple[int, int]:
    """Over how many devices (weights, gradients and moments) are spread."""
    count = launch["num_processes"]
    return {"fsdp": (count, count), "zero3": (count, count), "zero2": (1, count)}.get(launch["strategy"], (1, 1))


def _training_parts(stage: dict[str, Any], launch: dict[str, Any], shape: Shape) -> Parts:
    peft, number = stage["peft"], BYTES[launch["precision"]]
    weights, states = _shards(launch)
    tokens = micro_batch_tokens(stage, shape)
    parts: Parts = {}
    if peft:
        parts["weights"] = weight_bytes(shape, launch) / weights
        parts["adapter"] = TRAINED * lora_parameters(shape, peft) / states
    else:
        parts["weights"] = 4 * shape.parameters / weights
        parts["gradients_and_moments"] = (TRAINED - 4) * shape.parameters / states
    parts["activations"] = activation_bytes(shape, tokens, number, recompute=launch["gradient_checkpointing"])
    if stage["stage"] != "reward":
        chunked = stage["stage"] == "sft" and not (peft and "embed_out" in peft["target_modules"])
        # Logits, their softmax and their gradient, in float32.
        parts["logits"] = 12 * shape.vocabulary * min(tokens, LOGITS_CHUNK if chunked else tokens)
    if stage["stage"] == "ppo":
        parts["reward_model"] = number * shape.parameters
        parts["kv_cache"] = _generation_bytes(
            stage["rollout_batch_size"], prompt_tokens(stage) + stage["response_length"], launch, shape
        )
    return parts


def activation_bytes(shape: Shape, tokens: int, number: int, *, recompute: bool) -> float:
    """Kept for the backward pass. With recomputation each layer's input, and one layer whole."""
    layer = KEPT * shape.hidden * number / 2
    if not recompute:
        return tokens * shape.layers * layer
    return tokens * (shape.layers * RECOMPUTED * shape.hidden * number / 2 + layer)


def micro_batch_tokens(stage: dict[str, Any], shape: Shape) -> int:
    """Tokens of the largest forward and backward pass on one device."""
    if stage["stage"] == "ppo":
        longest = prompt_tokens(stage) + stage["response_length"]
        texts = -(-stage["rollout_batch_size"] // stage["num_mini_batches"])
        return int(max(longest, min(PPO_TOKENS, texts * longest)))
    pairs = stage["stage"] == "dpo" or stage.get("objective") == "pairwise"
    length = min(stage["max_length"], shape.positions)
    return int(stage["per_device_train_batch_size"] * length * (2 if pairs else 1))


def prompt_tokens(stage: dict[str, Any]) -> int:
    prompt = stage["prompt"]
    return int(prompt["length"] * (TOKENS_A_CHARACTER if prompt["unit"] == "characters" else 1))


def _generation_bytes(texts: int, length: int, launch: dict[str, Any], shape: Shape) -> float:
    own = -(-texts // launch["num_processes"])
    return kv_cache_bytes(shape, BYTES[launch["precision"]]) * length * min(GENERATED, own)


def _evaluate_parts(stage: dict[str, Any], launch: dict[str, Any], shape: Shape) -> Parts:
    length = prompt_tokens(stage) + stage["generation"]["max_new_tokens"]
    return {
        # One model at a time; a reward model, where there is one, comes after them.
        "weights": weight_bytes(shape, launch),
        "kv_cache": _generation_bytes(stage["num_prompts"], length, launch, shape),
        "logits": 12.0 * shape.vocabulary * GENERATED,
    }


def _merge_parts(shape: Shape) -> Parts:
    """In the machine's memory, not the GPU's: the model in its own type, and one matrix in float64."""
    return {"weights": 2.0 * shape.parameters, "one_matrix": 8.0 * 3 * 4 * shape.hidden**2}


def _advice(stage: dict[str, Any], launch: dict[str, Any], shape: Shape, available: int) -> list[str]:
    """What would make it fit by itself, the least costly first; where nothing does alone, what helps most."""
    alone = [code for code, changed in _changes(stage, launch) if _needed(*changed, shape) <= available]
    return alone or [
        code
        for code, changed in _changes(stage, launch)
        if _needed(*changed, shape) < 0.9 * _needed(stage, launch, shape)
    ]


def _changes(stage: dict[str, Any], launch: dict[str, Any]) -> list[tuple[str, tuple[dict[str, Any], dict[str, Any]]]]:
    trains = stage["stage"] in ("sft", "reward", "ppo", "dpo")
    changes: list[tuple[str, tuple[dict[str, Any], dict[str, Any]]]] = []
    if trains and not launch["gradient_checkpointing"]:
        changes.append(("gradient_checkpointing", (stage, {**launch, "gradient_checkpointing": True})))
    if stage["stage"] in ("sft", "reward", "dpo"):
        if stage["per_device_train_batch_size"] > 1:
            changes.append(("smaller_batch", ({**stage, "per_device_train_batch_size": 1}, launch)))
        changes.append(("shorter_texts", ({**stage, "max_length": max(1, stage["max_length"] // 4)}, launch)))
    if stage["stage"] == "ppo":
        changes.append(
            ("smaller_batch", ({**stage, "rollout_batch_size": max(1, stage["rollout_batch_size"] // 4)}, launch))
        )
        changes.append(("shorter_texts", ({**stage, "response_length": max(1, stage["response_length"] // 4)}, launch)))
    adapter = stage["stage"] == "evaluate" or stage.get("peft") is not None
    if trains and not adapter:
        lora = {"r": 8, "lora_alpha": 16, "lora_dropout": 0, "target_modules": ["query_key_value"]}
        changes.append(("use_lora", ({**stage, "peft": lora}, launch)))
    if launch["precision"] == "float32":
        changes.append(("half_precision", (stage, {**launch, "precision": "float16"})))
    if adapter:
        half = {**launch, "precision": "float16" if launch["precision"] == "float32" else launch["precision"]}
        for code, bits in (("quantize_8bit", "8bit"), ("quantize_4bit", "4bit")):
            if launch["quantization"] != bits:
                changes.append((code, (stage, {**half, "quantization": bits})))
    shardable = stage["stage"] in ("sft", "reward") and launch["quantization"] is None
    if shardable and launch["num_processes"] > 1 and launch["strategy"] not in ("fsdp", "zero3"):
        changes.append(("shard", (stage, {**launch, "strategy": "fsdp"})))
    if shardable:
        more = {**launch, "strategy": "fsdp", "num_processes": 2 * launch["num_processes"]}
        changes.append(("more_gpus", (stage, more)))
    return changes
