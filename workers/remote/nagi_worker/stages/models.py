"""Models, tokenizers and adapters as stages need them, and the traps of the libraries below."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from huggingface_hub import snapshot_download
from torch import nn
from transformers import AutoConfig, GPTNeoXForCausalLM, GPTNeoXForSequenceClassification, PreTrainedModel

from ..errors import NagiError
from .adapters import add_lora, attach_adapter
from .job import Input, Job
from .rng import stream
from .texts import Texts

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
#: config.json of a reward model: what transformers has no name for (engine/train/export.ts)
REWARD_FACTS = "nagi_reward"
#: drawn with the studio's generator up to this many numbers (Python draws a million in a few seconds), else with torch's
DRAWN_EXACTLY = 20_000_000


def folder_of(source: Input) -> Path:
    """The files of a model: a local folder, or one of the hub, fetched once."""
    if source.kind != "hub":
        return Path(source.path)
    try:
        return Path(snapshot_download(source.path, revision=source.revision, ignore_patterns=["*.msgpack", "*.h5"]))
    except (OSError, ValueError) as error:
        details = {"file": source.path, "found": ""}
        raise NagiError(
            "model.file_missing", f"{source.path} cannot be loaded from the hub: {error}", details
        ) from error


def read_config(folder: Path) -> Any:
    """config.json by transformers. Raises model.bad_config, model.unknown_architecture."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        details = {"file": "config.json", "field": "(top level)", "problem": str(error)}
        raise NagiError("model.bad_config", f"config.json of {folder.name} cannot be read: {error}", details) from error
    if config.model_type != "gpt_neox":
        details = {"file": "config.json", "architecture": config.model_type}
        message = f"{folder.name}: the architecture is {config.model_type}; Nagi trains GPT-NeoX, such as OpenCALM."
        raise NagiError("model.unknown_architecture", message, details)
    return config


def check_launch(launch: dict[str, Any], cuda: bool | None = None) -> None:
    """Refuses what this machine cannot do, before anything is loaded. Raises config.invalid."""
    has_cuda = torch.cuda.is_available() if cuda is None else cuda
    if launch["quantization"] and not (has_cuda and _installed("bitsandbytes")):
        missing = "CUDA" if not has_cuda else "bitsandbytes (pip install nagi-worker[quantization])"
        raise _bad_launch("quantization", f"is {launch['quantization']}, but this worker has no {missing}", "null")
    if launch["precision"] == "float16" and not has_cuda:
        raise _bad_launch("precision", "is float16, which PyTorch trains on a GPU only", "float32, bfloat16")
    if launch["precision"] == "bfloat16" and has_cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise _bad_launch("precision", "is bfloat16, which this GPU does not have (a T4, for one)", "float16, float32")


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _bad_launch(path: str, problem: str, allowed: str) -> NagiError:
    details = {"file": "launch", "path": f"launch.{path}", "problem": problem, "allowed": allowed}
    return NagiError("config.invalid", f"launch.{path} {problem}. Choose {allowed}.", details)


def _quantization(launch: dict[str, Any], dtype: torch.dtype) -> Any:
    if not launch["quantization"]:
        return None
    from transformers import BitsAndBytesConfig

    if launch["quantization"] == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _load(cls: type[PreTrainedModel], folder: Path, dtype: torch.dtype | str, **options: Any) -> Any:
    # dtype must be said: transformers 5 takes the config's, which is float16 for open-calm.
    try:
        model = cls.from_pretrained(folder, dtype=dtype, trust_remote_code=False, attn_implementation="sdpa", **options)
    except OSError as error:
        message = f"{folder.name}: {error}"
        raise NagiError("model.file_missing", message, {"file": folder.name, "found": ""}) from error
    except (ValueError, RuntimeError) as error:
        details = {"file": "config.json", "field": "(weights)", "problem": str(error)[:500]}
        raise NagiError("model.bad_config", f"{folder.name}: {str(error)[:500]}", details) from error
    model.config.use_cache = False
    return model


def load_causal(source: Input, dtype: torch.dtype | str, launch: dict[str, Any] | None = None) -> Any:
    """A language model with the adapter of its slot folded in, if it is one.

    @param launch says how it is quantized and on which device; without it: as it is, on the CPU
    """
    options: dict[str, Any] = {}
    if launch and launch["quantization"]:
        compute = dtype if isinstance(dtype, torch.dtype) else torch.float16
        options = {
            "quantization_config": _quantization(launch, compute),
            "device_map": {"": PartialState().local_process_index},
        }
    if source.kind != "adapter":
        return _load(GPTNeoXForCausalLM, folder_of(source), dtype, **options)
    model = _load(GPTNeoXForCausalLM, folder_of(_base(source)), dtype)
    return attach_adapter(model, folder_of(source)).merge_and_unload()


def _base(source: Input) -> Input:
    if source.base is None:
        details = {"name": source.path, "kind": source.kind, "accepts": "model"}
        raise NagiError("artefact.wrong_kind", f"{source.path} is an adapter, and its model was not given.", details)
    return source.base


def load_reward(source: Input, dtype: torch.dtype, num_labels: int | None = None) -> Any:
    """A text classifier of one or two labels. @param num_labels None: as config.json says"""
    options = {} if num_labels is None else {"num_labels": num_labels}
    model = _load(GPTNeoXForSequenceClassification, folder_of(source), dtype, **options)
    # PEFT and half precision leave the head beside f32 adapters: it is small, and f32; so is what it reads.
    model.score = model.score.float()
    model.score.register_forward_pre_hook(_in_own_type)
    return model


def _in_own_type(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (inputs[0].to(module.weight.dtype),)


# Fresh weights: the studio's numbers


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for name, parameter in model.named_parameters() if ".lora_" not in name)


def draw_score(model: Any, seed: int) -> None:
    """The score head that the studio would draw: normal(0, initializer_range), from a stream of its own."""
    weight = model.score.weight
    scale, random = model.config.initializer_range, stream(seed, "score")
    values = [scale * random.normal() for _ in range(weight.numel())]
    weight.data = torch.tensor(values, dtype=torch.float32).reshape(weight.shape).to(weight.device)


def draw_weights(model: Any, seed: int) -> None:
    """All weights anew, as the studio draws them (init "random"); large models with torch's generator."""
    names = _disk_order(model)
    total = sum(parameter.numel() for _, parameter in names)
    scale = model.config.initializer_range
    random, torch_random = stream(seed, "weights"), torch.Generator().manual_seed(seed)
    for name, parameter in names:
        if name.endswith("norm.weight"):
            parameter.data.fill_(1)
        elif name.endswith(".bias"):
            parameter.data.zero_()
        elif total <= DRAWN_EXACTLY:
            values = [scale * random.normal() for _ in range(parameter.numel())]
            parameter.data.copy_(torch.tensor(values, dtype=torch.float32).reshape(parameter.shape))
        else:
            parameter.data.copy_(scale * torch.randn(parameter.shape, generator=torch_random))


def _disk_order(model: Any) -> list[tuple[str, nn.Parameter]]:
    """Parameters in the order of the forward pass (engine/model/shapes.ts), without the score head."""
    inside = ["input_layernorm", "attention.query_key_value", "attention.dense", "post_attention_layernorm"]
    inside += ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"]

    def place(name: str) -> tuple[int, int, bool]:
        layer = re.search(r"layers\.(\d+)\.(.*)\.(weight|bias)$", name)
        if layer:
            return 1 + int(layer[1]), inside.index(layer[2]), layer[3] == "bias"
        last = 1 + model.config.num_hidden_layers
        rank = {"embed_in": 0, "final_layer_norm": last, "lm_head": last + 1}[name.split(".")[-2]]
        return rank, 0, name.endswith("bias")

    return sorted(
        ((name, one) for name, one in model.named_parameters() if not name.startswith("score")),
        key=lambda p: place(p[0]),
    )


def start_model(job: Job, head: str, num_labels: int = 1) -> tuple[Any, Texts]:
    """What a stage with one model trains: loaded or drawn, on its device, in the launch's type, with the adapter of `peft`.

    @param head "causal-lm" or "reward"
    """
    check_launch(job.launch)
    source, peft = job.input("model"), job.stage["peft"]
    config = read_config(folder_of(source if source.kind != "adapter" else _base(source)))
    # What is trained as a whole is kept in float32 and computed in the launch's type.
    dtype = DTYPES[job.launch["precision"]] if peft else torch.float32
    texts = Texts(folder_of(source if source.kind != "adapter" else _base(source)))
    launch = job.launch if peft else {**job.launch, "quantization": None}
    if head == "causal-lm":
        model = load_causal(source, dtype, launch)
    elif source.kind == "adapter":
        model = _classifier_of(load_causal(source, dtype), num_labels)
    else:
        model = load_reward(source, dtype, num_labels)
    model.config.pad_token_id = texts.pad_id
    if head == "reward" and (job.drawn or not _has_score(source, num_labels)):
        draw_score(model, job.seed)
    if job.drawn:
        draw_weights(model, job.seed)
    check_vocabulary(texts, config)
    if peft:
        model = add_lora(
            model, peft, job.seed, score=head == "reward", checkpointing=job.launch["gradient_checkpointing"]
        )
    return model, texts


def check_vocabulary(texts: Texts, config: Any) -> None:
    """Raises model.bad_tokenizer where the tokenizer has ids that the model has not."""
    if max(texts.vocabulary - 1, texts.eos_id, texts.pad_id) < config.vocab_size:
        return
    message = (
        f"tokenizer.json has ids beyond the model's vocabulary of {config.vocab_size}. Take both of the same model."
    )
    raise NagiError("model.bad_tokenizer", message, {"file": "tokenizer.json", "reason": "ids beyond the vocabulary"})


def _classifier_of(causal: Any, num_labels: int) -> Any:
    causal.config.num_labels = num_labels
    model = GPTNeoXForSequenceClassification(causal.config)
    model.gpt_neox = causal.gpt_neox
    model.score.register_forward_pre_hook(_in_own_type)
    return model


def _has_score(source: Input, num_labels: int) -> bool:
    """Whether a model brings a score head of this shape."""
    if source.kind == "adapter":
        return False
    architectures = (
        json.loads((folder_of(source) / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    )
    return (
        "GPTNeoXForSequenceClassification" in architectures and read_config(folder_of(source)).num_labels == num_labels
    )
