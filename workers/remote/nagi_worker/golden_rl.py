"""Reference numbers for PPO and DPO, in float64: TRL's formulas written out in PyTorch, models by transformers and peft.

    python -m nagi_worker.golden_rl OUT_DIR
    python -m nagi_worker.golden_rl --trl     compares the DPO step with TRL's own trainer

writes `rl.json` (the pure mathematics, and the token ids of the model cases) and `rl.safetensors` (a tiny model with an
adapter and a value head; log-probabilities, losses, gradients, and weights after whole updates). TRL 1.13 has no PPO any
more; the formulas are those of the last PPOTrainer, on padded arrays as there, with one difference: the score belongs to
the last token of a text, EOS included, not to the padding behind it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file

from .golden import EOS_ID, Case, build_model, disk_name
from .rl_formulas import (
    advantages_of,
    dpo_losses,
    losses,
    masked_mean,
    masked_whiten,
    token_kl,
    token_rewards,
)

Tensor = torch.Tensor

MODEL = Case("rl", hidden=12, heads=3, layers=2, intermediate=20, vocabulary=61, rotary=0.5, seed=31)
LORA = {"r": 3, "lora_alpha": 6, "target_modules": ["query_key_value", "dense_4h_to_h"]}
PPO = {
    "temperature": 0.8, "kl_coef": 0.15, "gamma": 0.99, "lam": 0.9, "cliprange": 0.2, "cliprange_value": 0.2,
    "vf_coef": 0.3, "num_ppo_epochs": 3,
}  # fmt: skip
DPO = {"beta": 0.25, "label_smoothing": 0.1}
#: TRL 1.13's own sigmoid loss knows no label smoothing (it has in `robust` only; earlier versions had): 0 in the update
DPO_UPDATE = {"beta": 0.25, "label_smoothing": 0.0}
DPO_PROMPTS = [3, 2, 4]
#: eps: large enough that rounding does not decide the step of elements whose gradient is almost nothing
ADAMW = {"learning_rate": 0.01, "betas": [0.9, 0.95], "eps": 1e-4, "weight_decay": 0.1, "max_grad_norm": 0.7}


def ragged(values: Tensor, mask: Tensor) -> list[float]:
    return values[mask.bool()].tolist()


def mathematics() -> dict[str, Any]:
    """Inputs and results of the pure functions of engine/train/rl."""
    generator = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    lengths = torch.tensor([6, 3, 1, 5, 2])
    mask = (torch.arange(6)[None] < lengths[:, None]).double()
    finished = torch.tensor([False, True, True, True, False])
    logprobs = -normal(5, 6).abs() * 2
    reference = logprobs + 0.4 * normal(5, 6)
    values, raw, other = normal(5, 6), 2 * normal(5) + 3, 3 * normal(4) + 2
    shape = {"reward_baseline": 1.7, "reward_clip": 0.9, "missing_eos_penalty": 0.6}
    deviation = torch.cat([other, raw]).std()
    scores = ((raw - shape["reward_baseline"]) / deviation).clamp(-shape["reward_clip"], shape["reward_clip"])
    scores = scores - shape["missing_eos_penalty"] * (~finished).double()
    result: dict[str, Any] = {
        "lengths": lengths.tolist(), "finished": finished.tolist(), "logprobs": ragged(logprobs, mask),
        "reference": ragged(reference, mask), "values": ragged(values, mask), "raw_scores": raw.tolist(),
        "earlier_scores": other.tolist(), "score_shape": shape, "deviation": deviation.item(),
        "scores": scores.tolist(), "ppo": PPO, "estimators": {},
    }  # fmt: skip
    for estimator in ("k1", "k3"):
        kl = token_kl(estimator, logprobs, reference) * mask
        rewards = token_rewards(kl, PPO["kl_coef"], scores, mask)
        whitened = masked_whiten(rewards, mask, shift_mean=False)
        advantages, returns = advantages_of(whitened, values, mask, PPO["gamma"], PPO["lam"])
        errors = masked_mean((values - returns) ** 2, mask)
        variance = masked_mean((returns - masked_mean(returns, mask)) ** 2, mask)
        result["estimators"][estimator] = {
            "kl": ragged(kl, mask), "rewards": ragged(rewards, mask), "whitened_rewards": ragged(whitened, mask),
            "advantages": ragged(advantages, mask), "returns": ragged(returns, mask),
            "whitened_advantages": ragged(masked_whiten(advantages, mask), mask),
            "explained_variance": (1 - errors / variance).item(), "objective/kl": kl.sum(1).mean().item(),
            "objective/entropy": (-logprobs * mask).sum(1).mean().item(),
            "objective/non_score_reward": (-PPO["kl_coef"] * kl).sum(1).mean().item(),
        }  # fmt: skip
    coefficient, controlled = PPO["kl_coef"], []
    for kl in (0.5, 9.0, 6.3, 5.9):
        coefficient *= 1 + min(0.2, max(-0.2, kl / 6.0 - 1)) * 64 / 1000
        controlled.append({"kl": kl, "coefficient": coefficient})
    result["controller"] = {"target": 6.0, "texts": 64, "horizon": 1000, "steps": controlled}
    new = {"logprobs": logprobs + 0.3 * normal(5, 6), "values": values + 0.3 * normal(5, 6)}
    new["entropies"] = normal(5, 6).abs()
    old = {"logprobs": logprobs, "values": values, "advantages": normal(5, 6), "returns": normal(5, 6)}
    stats = losses(new, old, mask, PPO["cliprange"], PPO["cliprange_value"])
    inputs = {**new, **{f"old_{key}" if key in new else key: value for key, value in old.items()}}
    result["update"] = {
        "inputs": {key: ragged(value, mask) for key, value in inputs.items()},
        "stats": {key: value.item() for key, value in stats.items()},
    }
    logps = {key: -20 + 4 * normal(4) for key in ("chosen", "rejected", "reference_chosen", "reference_rejected")}
    metrics = {key: value.item() for key, value in dpo_losses(logps, **DPO).items()}
    result["dpo"] = {**DPO, "logps": {key: value.tolist() for key, value in logps.items()}, "metrics": metrics}
    return result


class Policy(torch.nn.Module):
    """A causal LM with an adapter, and TRL's value head on its last hidden states."""

    def __init__(self) -> None:
        super().__init__()
        base = build_model(MODEL)
        self.model = get_peft_model(base, LoraConfig(**LORA, lora_dropout=0.0, bias="none"))
        generator = torch.Generator().manual_seed(32)
        for name, parameter in self.model.named_parameters():
            if "lora_" in name:  # peft's fresh adapter does nothing: B is zero
                parameter.data = 0.12 * torch.randn(parameter.shape, generator=generator)
        self.summary = torch.nn.Linear(MODEL.hidden, 1)
        self.summary.weight.data = 0.3 * torch.randn(1, MODEL.hidden, generator=generator)
        self.summary.bias.data = torch.tensor([0.2])
        self.eval().double()

    def trained(self) -> dict[str, torch.nn.Parameter]:
        """Adapter and value head by the names they have on disk."""
        adapter = {
            name.replace(".default", ""): parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }
        assert set(adapter) == set(get_peft_model_state_dict(self.model))
        return {**adapter, "v_head.summary.weight": self.summary.weight, "v_head.summary.bias": self.summary.bias}

    def forward(self, ids: Tensor, attention_mask: Tensor, temperature: float) -> dict[str, Tensor]:
        """Of every token but the first [B, T - 1]: its log-probability, and value and entropy of the state before it."""
        output = self.model(
            input_ids=ids, attention_mask=attention_mask, output_hidden_states=True, use_cache=False
        )
        logits = output.logits[:, :-1] / temperature
        logprobs = logits.log_softmax(-1)
        return {
            "logprobs": logprobs.gather(-1, ids[:, 1:, None]).squeeze(-1),
            "entropies": -(logprobs.exp() * logprobs).sum(-1),
            "values": self.summary(output.hidden_states[-1][:, :-1]).squeeze(-1),
        }


def make_texts(prompts: list[int], lengths: list[int], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Right-padded ids and attention mask [B, T], and the mask [B, T - 1] of the tokens that were chosen."""
    generator = torch.Generator().manual_seed(seed)
    width = max(a + b for a, b in zip(prompts, lengths))
    ids = torch.randint(2, MODEL.vocabulary, (len(prompts), width), generator=generator)
    positions = torch.arange(width)[None]
    first, end = torch.tensor(prompts)[:, None], torch.tensor(prompts)[:, None] + torch.tensor(lengths)[:, None]
    ids = ids.masked_fill(positions == end - 1, EOS_ID).masked_fill(positions >= end, 1)
    attention_mask = (positions < end).long()
    return ids, attention_mask, ((positions >= first) & (positions < end))[:, 1:].double()


def rows(ids: Tensor, attention_mask: Tensor) -> list[list[int]]:
    return [row[kept.bool()].tolist() for row, kept in zip(ids, attention_mask)]


def take_step(policy: Policy, optimizer: torch.optim.Optimizer, loss: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Clip and update; returns the norm before clipping and the gradients before clipping."""
    trained = policy.trained()
    optimizer.zero_grad()
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in trained.items() if p.grad is not None}
    norm = torch.nn.utils.clip_grad_norm_(list(trained.values()), ADAMW["max_grad_norm"])
    optimizer.step()
    return norm, gradients


def adamw(policy: Policy) -> torch.optim.AdamW:
    o = ADAMW
    return torch.optim.AdamW(
        policy.trained().values(), lr=o["learning_rate"], betas=tuple(o["betas"]), eps=o["eps"],
        weight_decay=o["weight_decay"],
    )  # fmt: skip


def ppo_update(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """One rollout's worth of PPO on fixed texts: every quantity on the way, several epochs of one minibatch."""
    policy, c = Policy(), PPO
    lengths, prompts = [5, 1, 7, 4], [2, 3, 1, 4]
    ids, attention_mask, mask = make_texts(prompts, lengths, 33)
    scores = torch.tensor([1.3, -0.4, 0.2, -1.9], dtype=torch.float64)
    with torch.no_grad():
        before = policy(ids, attention_mask, c["temperature"])
        with policy.model.disable_adapter():
            reference = policy(ids, attention_mask, c["temperature"])["logprobs"]
    kl = token_kl("k3", before["logprobs"], reference) * mask
    values = before["values"] * mask
    # Texts begin at different columns: shift each to the left, as responses are laid out in TRL.

    def left(x: Tensor) -> Tensor:
        return shift_left(x, mask)

    valid = left(torch.ones_like(mask))
    rewards = token_rewards(left(kl), c["kl_coef"], scores, valid)
    advantages, returns = advantages_of(rewards, left(values), valid, c["gamma"], c["lam"])
    old = {"logprobs": left(before["logprobs"]), "values": left(values), "returns": returns}
    old["advantages"] = masked_whiten(advantages, valid)
    for key, value in {**old, "entropies": left(before["entropies"]), "reference": left(reference), "kl": left(kl)}.items():
        tensors[f"ppo.{key}"] = value[valid.bool()]
    optimizer = adamw(policy)
    epochs = []
    for epoch in range(c["num_ppo_epochs"]):
        new = {key: left(value) for key, value in policy(ids, attention_mask, c["temperature"]).items()}
        stats = losses(new, old, valid, c["cliprange"], c["cliprange_value"])
        loss = stats["policy_loss"] + c["vf_coef"] * stats["value_loss"]
        norm, gradients = take_step(policy, optimizer, loss)
        epochs.append({"loss": loss.item(), "grad_norm": norm.item(), **{k: v.item() for k, v in stats.items()}})
        if epoch in (0, c["num_ppo_epochs"] - 1):
            for name, gradient in gradients.items():
                tensors[f"ppo.grad.{epoch}.{name}"] = gradient
    for name, parameter in policy.trained().items():
        tensors[f"ppo.after.{name}"] = parameter.detach()
    return {**c, "optimizer": ADAMW, "ids": rows(ids, attention_mask), "prompts": prompts,
            "scores": scores.tolist(), "epochs": epochs}  # fmt: skip


def dpo_texts() -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Completions of the same prompts, as make_texts gives them."""
    texts = {
        "chosen": make_texts(DPO_PROMPTS, [4, 6, 1], 34),
        "rejected": make_texts(DPO_PROMPTS, [2, 7, 5], 35),
    }
    for row, prompt in enumerate(DPO_PROMPTS):
        texts["rejected"][0][row, :prompt] = texts["chosen"][0][row, :prompt]
    return texts


def dpo_update(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Two DPO steps on fixed pairs."""
    policy = Policy()
    texts = dpo_texts()

    def summed(side: str) -> Tensor:
        return (policy(*texts[side][:2], 1.0)["logprobs"] * texts[side][2]).sum(1)

    with torch.no_grad(), policy.model.disable_adapter():
        reference = {f"reference_{side}": summed(side) for side in texts}
    optimizer = adamw(policy)
    steps = []
    for step in range(2):
        logps = {side: summed(side) for side in texts} | reference
        metrics = dpo_losses(logps, **DPO_UPDATE)
        norm, gradients = take_step(policy, optimizer, metrics["loss"])
        steps.append({"grad_norm": norm.item(), **{key: value.item() for key, value in metrics.items()}})
        if step == 0:
            for key, value in logps.items():
                tensors[f"dpo.{key}"] = value.detach()
            for name, gradient in gradients.items():
                tensors[f"dpo.grad.{name}"] = gradient
    for name, parameter in policy.trained().items():
        if not name.startswith("v_head"):
            tensors[f"dpo.after.{name}"] = parameter.detach()
    return {**DPO_UPDATE, "optimizer": ADAMW, "prompts": DPO_PROMPTS,
            "ids": {side: rows(*texts[side][:2]) for side in texts}, "steps": steps}  # fmt: skip


def shift_left(values: Tensor, mask: Tensor) -> Tensor:
    """The valid entries of each row, moved to its beginning; zeros behind."""
    shifted = torch.zeros_like(values)
    for row, kept in enumerate(mask.bool()):
        chosen = values[row][kept]
        shifted[row, : len(chosen)] = chosen
    return shifted


def write(folder: Path) -> None:
    """Write rl.json and rl.safetensors. Overwrites what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    policy, tensors = Policy(), {}
    for name, tensor in build_model(MODEL).state_dict().items():
        tensors[f"model.{disk_name(name)}"] = tensor
    for name, parameter in policy.trained().items():
        tensors[f"model.{name}"] = parameter.detach()
    config = json.loads(policy.model.get_base_model().config.to_json_string())
    keep = {key: value for key, value in config.items() if key not in {"id2label", "label2id"}}
    description = {
        "config": keep, "lora": LORA, "mathematics": mathematics(),
        "ppo": ppo_update(tensors), "dpo": dpo_update(tensors),
    }  # fmt: skip
    (folder / "rl.json").write_text(json.dumps(description, allow_nan=False) + "\n", encoding="utf-8")
    save_file({name: value.float().contiguous().clone() for name, value in tensors.items()}, folder / "rl.safetensors")


def compare_with_trl() -> dict[str, float]:
    """Loss, metrics and gradients of the first DPO step by TRL's own DPOTrainer: the largest deviation from ours, each.

    Not part of the tests, since TRL brings a dozen packages along; run it where TRL is installed."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    texts, tensors = dpo_texts(), {}
    ours = dpo_update(tensors)["steps"][0]
    # No word is part of another: special tokens are found inside of words.
    names = ["<eos>", "<pad>", *(f"w{i}." for i in range(2, MODEL.vocabulary))]
    words = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<eos>", pad_token="<pad>", padding_side="right"
    )

    def spell(ids: list[int]) -> str:
        return "".join(f" {names[token]}" for token in ids)

    chosen, rejected = (rows(*texts[side][:2]) for side in ("chosen", "rejected"))
    # TRL closes completions with EOS itself.
    pairs = [
        {"prompt": spell(a[:n]), "chosen": spell(a[n:-1]), "rejected": spell(b[n:-1])}
        for a, b, n in zip(chosen, rejected, DPO_PROMPTS)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        arguments = DPOConfig(
            output_dir=scratch, beta=DPO_UPDATE["beta"], per_device_train_batch_size=len(pairs), use_cpu=True,
            bf16=False, gradient_checkpointing=False, report_to=[],
        )  # fmt: skip
        trainer = DPOTrainer(
            model=build_model(MODEL), args=arguments, train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer, peft_config=LoraConfig(**LORA, lora_dropout=0.0, bias="none"),
        )  # fmt: skip
        model = trainer.model.double()
        adapter = {name: p for name, p in model.named_parameters() if "lora_" in name}
        start = {name: p.detach() for name, p in Policy().trained().items()}
        for name, parameter in adapter.items():
            parameter.data = start[name.replace(".default", "")].clone()
        batch = next(iter(trainer.get_train_dataloader()))
        assert sorted(rows(batch["input_ids"], batch["attention_mask"])) == sorted(chosen + rejected)
        loss = trainer.compute_loss(model.train(), batch)
        loss.backward()
        theirs = {"loss": loss.item()} | {key: value[-1] for key, value in trainer._metrics["train"].items()}
    deviations = {key: abs(theirs[key] - value) for key, value in ours.items() if key != "grad_norm"}
    for name, parameter in adapter.items():
        expected = tensors[f"dpo.grad.{name.replace('.default', '')}"]
        deviations[f"grad {name}"] = (parameter.grad - expected).abs().max().item()
    return deviations


if __name__ == "__main__":
    if sys.argv[1] == "--trl":
        found = compare_with_trl()
        print(json.dumps(found, indent=1))
        # Metrics pass through float32 in TRL.
        sys.exit(0 if all(value <= 1e-5 for value in found.values()) else 1)
    write(Path(sys.argv[1]))
