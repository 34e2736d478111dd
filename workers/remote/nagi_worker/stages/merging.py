"""Folding adapters into the weights they stand beside: W + lora_alpha / r * B A, summed in float64, rounded once.

On the CPU, one matrix at a time: a 7B model needs its own size in memory and half a gigabyte more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from ..errors import NagiError
from .job import Job
from .models import draw_weights, folder_of, load_causal, load_reward

Tensor = torch.Tensor
LORA_A = re.compile(r"^base_model\.model\.(.*)\.lora_A\.weight$")


def factor_of(config: LoraConfig) -> float:
    """What B A is multiplied with. Raises model.bad_config for what is not plain LoRA."""
    for field in ("use_dora", "rank_pattern", "alpha_pattern"):
        if getattr(config, field, None):
            problem = "only plain LoRA can be folded in"
            details = {"file": "adapter_config.json", "field": field, "problem": problem}
            raise NagiError("model.bad_config", f'adapter_config.json: "{field}" is set; {problem}', details)
    return config.lora_alpha / (config.r**0.5 if config.use_rslora else config.r)


def fold(model: Any, adapter: Mapping[str, Tensor], factor: float) -> int:
    """Folds an adapter (PEFT's names) into a model's weights, in the model's own type. Returns the number of matrices.

    Raises model.tensor_missing, model.tensor_shape where the two do not belong together.
    """
    folded = 0
    for name, a in adapter.items():
        match = LORA_A.match(name)
        if not match:
            continue
        module = "lm_head" if match[1] == "embed_out" else match[1]
        b = _take(adapter, name.replace(".lora_A.", ".lora_B."))
        weight = _weight_of(model, module, name)
        if weight.shape != (b.shape[0], a.shape[1]):
            shapes = {"expected": str(list(weight.shape)), "actual": f"[{b.shape[0]}, {a.shape[1]}]"}
            message = f"the adapter of {module} is made for {shapes['actual']}, but the base has {shapes['expected']}."
            raise NagiError("model.tensor_shape", message, {"tensor": f"{module}.weight", **shapes})
        delta = factor * (b.double().cpu() @ a.double().cpu())
        weight.data.copy_((weight.data.double() + delta).to(weight.dtype))
        folded += 1
    return folded


def _take(adapter: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in adapter:
        raise NagiError(
            "model.tensor_missing", f"the adapter has no tensor {name}.", {"file": "the adapter", "tensor": name}
        )
    return adapter[name]


def _weight_of(model: Any, module: str, name: str) -> nn.Parameter:
    try:
        linear = model.get_submodule(module)
    except AttributeError as error:
        message = f"the base has no linear {module}, which the adapter needs. Take the adapter and the model it was trained on."
        raise NagiError("model.tensor_missing", message, {"file": "the base", "tensor": name}) from error
    if module == "lm_head" and model.config.tie_word_embeddings:
        # The output matrix is one of its own from here on.
        linear.weight = nn.Parameter(linear.weight.data.clone(), requires_grad=False)
        model.config.tie_word_embeddings = False
    return linear.weight


def read_adapter(folder: Path) -> tuple[dict[str, Tensor], float]:
    """Matrices and factor of a stored adapter."""
    return load_file(folder / "adapter_model.safetensors"), factor_of(LoraConfig.from_pretrained(folder))


def merged_state(job: Job, adapted: Any, state_dict: Mapping[str, Tensor] | None) -> tuple[Any, dict[str, Tensor]]:
    """A trained reward adapter in its base: (the base in float32, all its tensors by name).

    The base is read once more: the one that was trained on may be half precision, quantized or spread over ranks.
    """
    adapter = get_peft_model_state_dict(adapted, state_dict=None if state_dict is None else dict(state_dict))
    config = adapted.peft_config["default"]
    labels = adapted.get_base_model().config.num_labels
    base = load_reward(job.input("model"), torch.float32, labels)
    if job.drawn:
        draw_weights(base, job.seed)
    fold(base, adapter, factor_of(config))
    score = next(tensor for name, tensor in adapter.items() if name.endswith("score.weight"))
    base.score.weight.data.copy_(score.float().cpu())
    return base, base.state_dict()


def merged_causal(job: Job, dtype: torch.dtype | str) -> Any:
    """The model of a merge stage with its adapter folded in, in the model's own type, on the CPU."""
    source = job.input("adapter")
    if source.kind != "adapter" or source.base is None:
        details = {"name": source.path, "kind": source.kind, "accepts": "adapter"}
        raise NagiError("artefact.wrong_kind", "A merge takes an adapter and the model it was trained on.", details)
    model = load_causal(source.base, dtype)
    adapter, factor = read_adapter(folder_of(source))
    if fold(model, adapter, factor) == 0:
        details = {"file": "adapter_config.json", "field": "target_modules", "problem": "names no linear of this model"}
        raise NagiError(
            "model.bad_config", 'adapter_config.json: "target_modules" names no linear of this model.', details
        )
    return model
