"""What stages leave behind, in the layout that the studio, transformers and peft read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import load_file

from ..errors import NagiError
from .credit import write_credit
from .events import Metrics, plain
from .job import Job, replaced_folder, write_json
from .models import REWARD_FACTS
from .texts import Texts

SHARD = "2GB"


def finish_output(job: Job, kind: str, write: Any, metrics: Metrics) -> None:
    """Writes output/ by `write(folder)` and output.json, on rank 0; every rank must call it."""
    state = PartialState()
    if state.is_main_process:
        with replaced_folder(job.folder / "output") as folder:
            write(folder)
            write_credit(job, kind, folder)
        write_json(job.folder / "output.json", {"kind": kind, "metrics": plain(metrics)})
    state.wait_for_everyone()


def write_adapter(model: Any, job: Job, folder: Path, state_dict: Mapping[str, torch.Tensor] | None = None) -> None:
    """adapter_config.json and adapter_model.safetensors of a PeftModel, float32, the base named as the studio names it."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        model.save_pretrained(scratch, state_dict=state_dict, save_embedding_layers=False)
        made = Path(scratch)
        config = json.loads((made / "adapter_config.json").read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = job.model_name
        config["target_modules"] = sorted(config["target_modules"])
        write_json(folder / "adapter_config.json", config)
        (made / "adapter_model.safetensors").replace(folder / "adapter_model.safetensors")
    refuse_non_finite(load_file(folder / "adapter_model.safetensors"))


def refuse_non_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    """Raises run.diverged: nothing is handed over that holds NaN."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            message = f"{name} holds numbers that are not finite. Start again with a smaller learning_rate."
            raise NagiError("run.diverged", message, {"step": 0, "metric": name})


def write_model(
    model: Any, texts: Texts, folder: Path, state_dict: Mapping[str, torch.Tensor] | None = None, shard: str = SHARD
) -> None:
    """A whole model with its tokenizer, in shards. @param state_dict where the model's own is spread over ranks"""
    model.config.pad_token_id = texts.pad_id
    model.config.use_cache = True
    model.save_pretrained(folder, state_dict=state_dict, max_shard_size=shard, safe_serialization=True)
    model.config.use_cache = False
    _tidy_config(folder, {})
    texts.copy_files(folder)


def write_reward_model(model: Any, texts: Texts, folder: Path, facts: dict[str, Any], state_dict: Any = None) -> None:
    """A classifier as the studio reads it: its labels' names, and what `nagi_reward` says."""
    names = ["reward"] if model.config.num_labels == 1 else ["negative", "positive"]
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: index for index, name in enumerate(names)}
    write_model(model, texts, folder, state_dict)
    _tidy_config(folder, {REWARD_FACTS: facts, "num_labels": len(names)})


def _tidy_config(folder: Path, more: dict[str, Any]) -> None:
    """config.json without paths of this machine, and with the names that readers before transformers 5 know."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    rope = config.get("rope_parameters") or {}
    if "partial_rotary_factor" in rope:
        config.setdefault("rotary_pct", rope["partial_rotary_factor"])
    if "rope_theta" in rope:
        config.setdefault("rotary_emb_base", rope["rope_theta"])
    config.update(more)
    write_json(folder / "config.json", config)
    (folder / "generation_config.json").unlink(missing_ok=True)
