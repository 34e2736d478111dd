"""LoRA adapters: fresh ones with the studio's numbers, and stored ones; whatever PEFT would pass over silently is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from ..errors import NagiError
from .rng import LORA_STREAM, Random

#: order of a layer's linears on disk, which is the order in which the studio draws fresh adapters
LINEARS = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")


def attach_adapter(model: Any, folder: Path) -> PeftModel:
    """The model with a stored adapter on it, frozen.

    PEFT passes silently over matrices that find no place, and the studio's name of the output matrix ("embed_out") finds
    none in transformers 5: so every matrix of the file is looked for. Raises model.file_missing, model.tensor_missing.
    """
    file = folder / "adapter_model.safetensors"
    if not file.is_file() or not (folder / "adapter_config.json").is_file():
        missing = file.name if not file.is_file() else "adapter_config.json"
        raise NagiError("model.file_missing", f"{folder.name} has no {missing}.", {"file": missing, "found": ""})
    config = LoraConfig.from_pretrained(folder)
    if isinstance(config.target_modules, (list, set)):
        config.target_modules = {"lm_head" if name == "embed_out" else name for name in config.target_modules}
    config.inference_mode = True
    config.base_model_name_or_path = model.name_or_path
    stored = {
        name.replace("base_model.model.embed_out.", "base_model.model.lm_head."): tensor
        for name, tensor in load_file(file).items()
    }
    adapted = get_peft_model(model, config)
    places = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    for name in sorted(places - set(stored)):
        raise _misplaced(file.name, name, f"{file.name} has no tensor {name}")
    loaded = set_peft_model_state_dict(adapted, stored)
    # PEFT may store a base's matrix beside an adapter on it, which has its place; others have none.
    for name in sorted(loaded.unexpected_keys):
        raise _misplaced(file.name, name, f"{file.name} holds {name}, which has no place in the model")
    return adapted.eval()


def _misplaced(file: str, tensor: str, problem: str) -> NagiError:
    message = f"{problem}. Take the adapter and the model it was trained on."
    return NagiError("model.tensor_missing", message, {"file": file, "tensor": tensor})


def add_lora(
    model: Any, peft: dict[str, Any], seed: int, *, score: bool = False, checkpointing: bool = False
) -> PeftModel:
    """The model with the studio's fresh adapter on it.

    Raises config.invalid {path: peft.target_modules} for a target that names nothing: PEFT is silent about it.
    @param score whether a score head is trained as a whole beside it
    """
    # transformers 5 calls the output matrix lm_head; on disk and in the studio it is embed_out.
    targets = ["lm_head" if target == "embed_out" else target for target in peft["target_modules"]]
    config = LoraConfig(
        r=peft["r"],
        lora_alpha=peft["lora_alpha"],
        lora_dropout=peft["lora_dropout"],
        target_modules=targets,
        bias="none",
        task_type="SEQ_CLS" if score else "CAUSAL_LM",
        modules_to_save=["score"] if score else None,
    )
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise _no_target(", ".join(peft["target_modules"]), str(error)) from error
    matrices = {name: one for name, one in adapted.named_parameters() if ".lora_A." in name}
    for asked, target in zip(peft["target_modules"], targets, strict=True):
        if not any(f".{target}.lora_A." in name for name in matrices):
            raise _no_target(asked, "matches no linear of this model")
    random = Random.seeded(seed, LORA_STREAM)
    for _, matrix in sorted(matrices.items(), key=lambda item: _lora_place(item[0])):
        bound = matrix.shape[1] ** -0.5
        values = [bound * (2 * random.uniform() - 1) for _ in range(matrix.numel())]
        matrix.data = torch.tensor(values, dtype=torch.float32).reshape(matrix.shape).to(matrix.device)
    train_in_f32(adapted)
    if checkpointing:
        # Nothing before the first adapter is trained: recomputation would find nothing to differentiate.
        adapted.enable_input_require_grads()
    return adapted


def train_in_f32(model: nn.Module) -> None:
    """Adapters and heads in float32, whatever the base is in (trl casts those of quantized models to bfloat16)."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _lora_place(name: str) -> tuple[int, int]:
    layer = re.search(r"layers\.(\d+)\.[a-z_]+\.(\w+)\.lora_A", name)
    return (int(layer[1]), LINEARS.index(layer[2])) if layer else (10**9, 0)


def _no_target(target: str, problem: str) -> NagiError:
    allowed = ", ".join([*LINEARS, "embed_out"])
    details = {"file": "config", "path": "peft.target_modules", "problem": problem, "allowed": allowed}
    return NagiError("config.invalid", f"peft.target_modules: {target} {problem}. Take some of {allowed}.", details)
