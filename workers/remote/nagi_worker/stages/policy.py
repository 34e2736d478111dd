"""The policy of PPO: a language model with an adapter, a float32 value head on its last hidden states, and the reference,
which is the same weights with the adapter switched off.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Tensor = torch.Tensor


@dataclass(frozen=True)
class Completion:
    """Token ids of a text; the first `prompt_tokens` (one at least) were given, the others (one at least) chosen."""

    ids: list[int]
    prompt_tokens: int

    @property
    def chosen(self) -> list[int]:
        return self.ids[self.prompt_tokens :]


def pad_completions(texts: Sequence[Completion], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """input_ids, attention_mask [B, T], filled at the end, and `chosen` [B, T - 1]: where the next token was chosen."""
    width = max(len(text.ids) for text in texts)
    ids = torch.tensor([text.ids + [pad_id] * (width - len(text.ids)) for text in texts], device=device)
    mask = torch.tensor([[1] * len(text.ids) + [0] * (width - len(text.ids)) for text in texts], device=device)
    at = torch.arange(1, width, device=device)[None]
    first = torch.tensor([text.prompt_tokens for text in texts], device=device)[:, None]
    end = torch.tensor([len(text.ids) for text in texts], device=device)[:, None]
    return {"input_ids": ids, "attention_mask": mask, "chosen": (at >= first) & (at < end)}


class Policy(nn.Module):
    """@param model a PeftModel of a GPTNeoXForCausalLM; @param temperature that texts are drawn with"""

    def __init__(self, model: Any, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature
        hidden = model.config.hidden_size
        # Says 0 of every state: as good a guess as any before the first reward, and no noise in advantages.
        self.value = nn.Linear(hidden, 1, dtype=torch.float32)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, chosen: Tensor, adapter: bool = True
    ) -> dict[str, Tensor]:
        """Of every chosen token, text after text [N]: log-probability, value and entropy of the state before it.

        @param adapter False: of the reference (the value is not to be used then)
        """
        causal = self.model.get_base_model()
        with nullcontext() if adapter else self.model.disable_adapter():
            hidden = causal.gpt_neox(
                input_ids=input_ids, attention_mask=attention_mask, use_cache=False
            ).last_hidden_state  # fmt: skip
            # Only states in which a token was chosen meet the vocabulary: never [B, T, V].
            states = hidden[:, :-1][chosen]
            logits = causal.lm_head(states).to(self.value.weight.dtype) / self.temperature
        logprobs = logits.log_softmax(-1)
        targets = input_ids[:, 1:][chosen]
        return {
            "logprobs": logprobs.gather(-1, targets[:, None]).squeeze(-1),
            "entropies": -(logprobs.exp() * logprobs).sum(-1),
            "values": self.value(states.to(self.value.weight.dtype)).squeeze(-1),
        }

    def trained(self) -> dict[str, nn.Parameter]:
        """Adapter and value head by the names of checkpoints (TRL's for the head)."""
        adapter = {
            name.replace(".default.", "."): parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }
        return {**adapter, "v_head.summary.weight": self.value.weight, "v_head.summary.bias": self.value.bias}
