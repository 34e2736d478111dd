"""Reference cases for `nagi verify`: PyTorch's numbers for tiny GPT-NeoX models, in float64 from the stored weights.

    python -m nagi_worker.golden OUT_DIR

writes the committed cases (`CASES`), one folder each: `model/`, `case.json`, `expected.safetensors` (the format is
described in docs/verify.md). `write_case` makes others, which tests use for sizes too large to commit.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, GPTNeoXForSequenceClassification, get_scheduler

EOS_ID, PAD_ID = 0, 1


@dataclass(frozen=True)
class Case:
    """One verify case. `rows` are the lengths of the texts of each batch; the longest sets the width."""

    name: str
    task: str = "causal-lm"
    objective: str | None = None
    hidden: int = 12
    heads: int = 3
    layers: int = 2
    intermediate: int = 23
    vocabulary: int = 61
    rotary: float = 1.0
    parallel: bool = False
    attention_bias: bool = True
    act: str = "gelu"
    rows: tuple[int, ...] = (9, 5)
    batches: int = 1
    steps: int = 0
    optimizer: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    #: "safetensors" | "bin"
    store: str = "safetensors"
    #: write `rotary_pct` and `rotary_emb_base` as OpenCALM's configs do, instead of `rope_parameters`
    old_config: bool = False
    #: write the buffers that transformers 4.27 stored beside the weights, as open-calm's files have them
    masks: bool = False
    rope_theta: float = 10000.0
    #: peft's LoraConfig (r, lora_alpha, target_modules, ...): the case trains an adapter that has been trained before
    lora: dict[str, Any] | None = None
    #: leave out logits and gradients of a large vocabulary
    with_logits: bool = True
    seed: int = 0


ADAMW = {"name": "adamw", "lr": 2e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01, "max_grad_norm": 1.0}

#: the linears of a layer
TARGETS = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]

CASES = [
    Case("lm-sequential", rows=(9, 5, 1)),
    Case("lm-parallel-partial", parallel=True, rotary=0.25, hidden=32, heads=2, intermediate=40, layers=1, rows=(7, 12)),
    Case("lm-odd-head", hidden=15, heads=3, rotary=0.5, vocabulary=67, rows=(6, 11, 3)),
    Case("lm-one-token", rows=(2, 1), layers=1, vocabulary=53, batches=1),
    Case("lm-old-config-f16", old_config=True, rotary=0.5, dtype=torch.float16, hidden=16, heads=2, rows=(10,)),
    Case("lm-bin-bf16", store="bin", dtype=torch.bfloat16, hidden=16, heads=4, rows=(8, 8)),
    Case(
        "lm-bin-f16-masks", store="bin", old_config=True, masks=True, dtype=torch.float16, hidden=16, heads=2, rows=(9, 4)
    ),
    Case("lm-no-attention-bias", attention_bias=False, act="gelu_new", layers=1, rows=(5, 6)),
    Case(
        "lm-trajectory",
        batches=3,
        steps=7,
        rows=(8, 6, 4),
        optimizer={**ADAMW, "schedule": {"name": "cosine", "warmup_steps": 2, "total_steps": 7}},
    ),
    Case("reward-binary", task="reward", objective="binary", rows=(7, 4, 9, 1)),
    Case("reward-cross-entropy", task="reward", objective="cross-entropy", rows=(5, 8, 3)),
    Case("reward-pairwise", task="reward", objective="pairwise", rows=(7, 4, 6, 9)),
    Case(
        "reward-trajectory",
        task="reward",
        objective="binary",
        rows=(6, 3, 8, 5),
        batches=2,
        steps=6,
        optimizer={**ADAMW, "schedule": "constant", "max_grad_norm": 0.5},
    ),
    Case(
        "lora-all-targets",
        layers=1,
        vocabulary=41,
        rows=(6, 3, 1),
        lora={"r": 3, "lora_alpha": 5, "lora_dropout": 0.1, "target_modules": [*TARGETS, "lm_head"]},
    ),
    Case(
        "lora-one-target",
        parallel=True,
        rotary=0.5,
        vocabulary=37,
        rows=(5, 7),
        lora={"r": 1, "lora_alpha": 3, "target_modules": r".*\.(attention\.)dense"},
    ),
    Case(
        "lora-f16-base",
        dtype=torch.float16,
        hidden=16,
        heads=2,
        layers=1,
        vocabulary=37,
        rows=(8, 4),
        lora={"r": 5, "lora_alpha": 8, "use_rslora": True, "target_modules": ["query_key_value", "dense_4h_to_h"]},
    ),
    Case(
        "lora-trajectory",
        layers=1,
        vocabulary=37,
        batches=2,
        steps=5,
        rows=(7, 4),
        optimizer={**ADAMW, "lr": 1e-2, "schedule": {"name": "linear", "warmup_steps": 1, "total_steps": 5}},
        lora={"r": 2, "lora_alpha": 4, "target_modules": "all-linear"},
    ),
    Case(
        "lora-reward",
        task="reward",
        objective="binary",
        layers=1,
        vocabulary=37,
        batches=2,
        steps=4,
        rows=(6, 3, 1, 5),
        optimizer={**ADAMW, "lr": 1e-2, "schedule": "constant", "max_grad_norm": 0.5},
        lora={"r": 4, "lora_alpha": 4, "target_modules": ["query_key_value", "dense_h_to_4h"]},
    ),
]


def disk_name(name: str) -> str:
    """transformers 5 calls the head `lm_head` in memory and `embed_out` on disk."""
    return name.replace("lm_head.", "embed_out.")


def build_model(case: Case) -> torch.nn.Module:
    """A model with weights far from initialisation, so that every term of the forward pass matters."""
    config = GPTNeoXConfig(
        vocab_size=case.vocabulary,
        hidden_size=case.hidden,
        num_hidden_layers=case.layers,
        num_attention_heads=case.heads,
        intermediate_size=case.intermediate,
        max_position_embeddings=max(64, *case.rows),
        hidden_act=case.act,
        rope_parameters={"rope_type": "default", "rope_theta": case.rope_theta, "partial_rotary_factor": case.rotary},
        layer_norm_eps=1e-5,
        use_parallel_residual=case.parallel,
        attention_bias=case.attention_bias,
        tie_word_embeddings=False,
        bos_token_id=EOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
        num_labels=2 if case.objective == "cross-entropy" else 1,
        attn_implementation="sdpa",
    )
    kind = GPTNeoXForCausalLM if case.task == "causal-lm" else GPTNeoXForSequenceClassification
    model = kind(config)
    generator = torch.Generator().manual_seed(1000 + case.seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            value = 1 + 0.2 * noise
        elif name.endswith("bias"):
            value = 0.1 * noise
        elif "embed" in name or "lm_head" in name or "score" in name:
            value = 0.5 * noise
        else:
            value = noise * 0.8 / parameter.shape[1] ** 0.5
        parameter.data = value.to(case.dtype).float()
    return model.eval()


def add_adapter(case: Case, model: torch.nn.Module) -> torch.nn.Module:
    """The model in peft's wrapper, in float64, its adapters (and its score head) as if they had been trained."""
    kind = "CAUSAL_LM" if case.task == "causal-lm" else "SEQ_CLS"
    wrapped = get_peft_model(model, LoraConfig(task_type=kind, **(case.lora or {})))
    generator = torch.Generator().manual_seed(3000 + case.seed)
    for name, parameter in wrapped.named_parameters():
        if parameter.requires_grad:
            noise = torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
            parameter.data = (0.5 * noise).float()
    return wrapped.eval()


def adapter_name(name: str) -> str:
    """A parameter of peft's wrapper as peft calls it on disk."""
    return name.replace(".modules_to_save.default", "").replace(".default", "")


def save_adapter(model: torch.nn.Module, folder: Path) -> None:
    """As save_pretrained, but the same bytes each time."""
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def merged_weights(case: Case, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights that folding the adapters in changes, rounded to the base's type."""
    adapted = {name.split(".lora_A.")[0] for name, _ in model.named_parameters() if ".lora_A." in name}
    merged = copy.deepcopy(model).merge_and_unload().state_dict()
    names = {name.removeprefix("base_model.model.") + ".weight" for name in adapted}
    return {f"merged.{disk_name(name)}": merged[name].to(case.dtype) for name in sorted(names)}


def make_batches(case: Case) -> list[dict[str, torch.Tensor]]:
    """Right-padded batches; completion-style masks and a closing EOS in the causal case."""
    generator = torch.Generator().manual_seed(2000 + case.seed)
    width, batches = max(case.rows), []
    for number in range(case.batches):
        lengths = case.rows[number % len(case.rows) :] + case.rows[: number % len(case.rows)]
        ids = torch.randint(2, case.vocabulary, (len(lengths), width), generator=generator)
        mask = torch.zeros_like(ids)
        for row, length in enumerate(lengths):
            mask[row, :length] = 1
            ids[row, length:] = PAD_ID
            ids[row, length - 1] = EOS_ID
        if case.task == "causal-lm":
            labels = ids.masked_fill(mask == 0, -100)
            labels[0, : min(2, width - 1)] = -100
        else:
            labels = torch.randint(0, 2, (len(lengths),), generator=generator)
        batches.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
    return batches


def loss_of(case: Case, model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """(loss, logits or scores) in the model's dtype; transformers' own losses would round to float32."""
    output = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
    labels = batch["labels"]
    if case.task == "causal-lm":
        flat = output[:, :-1].reshape(-1, output.shape[-1])
        return F.cross_entropy(flat, labels[:, 1:].reshape(-1), ignore_index=-100), output
    if case.objective == "binary":
        return F.binary_cross_entropy_with_logits(output[:, 0], labels.to(output.dtype)), output
    if case.objective == "cross-entropy":
        return F.cross_entropy(output, labels), output
    half = output.shape[0] // 2
    return -F.logsigmoid(output[:half, 0] - output[half:, 0]).mean(), output


def trajectory(case: Case, model: torch.nn.Module, batches: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Losses and gradient norms (before clipping) of `case.steps` AdamW steps, in the model's dtype."""
    o = case.optimizer
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=o["lr"], betas=tuple(o["betas"]), eps=o["eps"], weight_decay=o["weight_decay"]
    )
    schedule = o.get("schedule", "constant")
    if isinstance(schedule, str):
        schedule = {"name": schedule, "warmup_steps": 0, "total_steps": case.steps}
    scheduler = get_scheduler(
        "constant_with_warmup" if schedule["name"] == "constant" else schedule["name"],
        optimizer,
        num_warmup_steps=schedule["warmup_steps"],
        num_training_steps=schedule["total_steps"],
    )
    losses, norms = [], []
    for step in range(case.steps):
        loss, _ = loss_of(case, model, batches[step % len(batches)])
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(trained, o["max_grad_norm"] or float("inf")))
        losses.append(loss.detach())
        optimizer.step()
        scheduler.step()
    return {"trajectory.loss": torch.stack(losses), "trajectory.grad_norm": torch.stack(norms)}


def old_buffers(case: Case) -> dict[str, torch.Tensor]:
    """Causal masks (a byte a pair), the value under them and the rotary frequencies: all follow from the config."""
    context, head = 32, case.hidden // case.heads
    buffers: dict[str, torch.Tensor] = {}
    for layer in range(case.layers):
        name = f"gpt_neox.layers.{layer}.attention"
        buffers[f"{name}.bias"] = torch.tril(torch.ones(context, context, dtype=torch.uint8)).view(1, 1, context, context)
        buffers[f"{name}.masked_bias"] = torch.tensor(-1e9).half()
        buffers[f"{name}.rotary_emb.inv_freq"] = 1 / case.rope_theta ** (torch.arange(0, head, 2).float() / head)
    return buffers


def save_model(case: Case, model: torch.nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {disk_name(name): tensor.to(case.dtype).contiguous() for name, tensor in model.state_dict().items()}
    if case.masks:
        state.update(old_buffers(case))
    if case.store == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string())
    if case.old_config:
        del config["rope_parameters"]
        config.update(rotary_pct=case.rotary, rotary_emb_base=int(case.rope_theta))
    keep = {key: value for key, value in config.items() if key not in {"id2label", "label2id"}}
    (folder / "config.json").write_text(json.dumps(keep, indent=1) + "\n", encoding="utf-8")


def write_case(case: Case, folder: Path) -> None:
    """Write `folder` with model, case and PyTorch's numbers. Overwrites what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    model = build_model(case)
    save_model(case, model, folder / "model")
    batches = make_batches(case)
    expected: dict[str, torch.Tensor] = {}
    if case.lora:
        model = add_adapter(case, model)
        save_adapter(model, folder / "adapter")
        expected.update(merged_weights(case, model.double()))
    gold = model.double()
    loss, output = loss_of(case, gold, batches[0])
    loss.backward()
    expected["loss"] = loss.detach()[None]
    if case.task == "causal-lm":
        if case.with_logits:
            expected["logits"] = output.detach() * batches[0]["attention_mask"][..., None]
    else:
        expected["scores"] = output.detach()
    for name, parameter in gold.named_parameters():
        if parameter.grad is not None:
            name = adapter_name(name) if case.lora else disk_name(name)
            expected[f"grad.{name}"] = parameter.grad.clone()
    if case.steps:
        expected.update(trajectory(case, gold, batches))
    save_file({name: value.float().contiguous() for name, value in expected.items()}, folder / "expected.safetensors")
    plain = [{key: value.tolist() for key, value in batch.items()} for batch in batches]
    description: dict[str, Any] = {"task": case.task, "train": "lora" if case.lora else "full", **plain[0]}
    if case.objective:
        description["objective"] = case.objective
    if case.steps:
        description.update(batches=plain, optimizer=case.optimizer, steps=case.steps)
    (folder / "case.json").write_text(json.dumps(description, allow_nan=False) + "\n", encoding="utf-8")


def larger(case: Case, **changes: Any) -> Case:
    """A variation of `case`, for tests."""
    return replace(case, **changes)


def main() -> None:
    out = Path(sys.argv[1])
    for case in CASES:
        write_case(case, out / case.name)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{len(CASES)} cases, {size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
