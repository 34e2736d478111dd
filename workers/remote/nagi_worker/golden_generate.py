"""What transformers generates: greedy continuations of the golden models, and what its logits warpers keep.

    python -m nagi_worker.golden_generate FILE.json
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from peft import PeftModel
from transformers import GPTNeoXForCausalLM
from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

GOLDEN = Path(__file__).resolve().parents[2] / "engine" / "golden"

#: Sequential and parallel residual, partial rotary, odd heads; the last one also with its adapter.
MODELS = ["lm-sequential", "lm-parallel-partial", "lm-odd-head", "lora-all-targets"]
LENGTHS = (1, 4, 9, 2, 17)
NEW_TOKENS = 20
#: Between the likeliest token and the next; what float32 and float64 disagree about is far smaller.
MARGIN = 1e-3

#: temperature, top_k, top_p
SETTINGS = [(1.0, 5, 1.0), (0.7, 0, 0.8), (1.5, 12, 0.6), (1.0, 0, 0.05), (0.5, 1, 1.0), (2.0, 30, 0.95)]


def continuation(model: torch.nn.Module, prompt: list[int], eos: int | None) -> list[int]:
    """Greedy tokens after the prompt, the EOS included."""
    out = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        eos_token_id=eos,
        pad_token_id=eos if eos is not None else 0,
    )
    return out[0, len(prompt) :].tolist()


def is_clear(model: torch.nn.Module, ids: list[int], start: int) -> bool:
    """Whether no choice from `start` on was a close one."""
    best = model(input_ids=torch.tensor([ids])).logits[0, start - 1 : -1].topk(2).values
    return bool((best[:, 0] - best[:, 1] > MARGIN).all())


@torch.no_grad()
def greedy_case(name: str, adapter: bool) -> dict[str, Any]:
    model = GPTNeoXForCausalLM.from_pretrained(GOLDEN / name / "model", dtype=torch.float64).eval()
    vocabulary = model.config.vocab_size
    model.generation_config.eos_token_id = None
    if adapter:
        model = PeftModel.from_pretrained(model, GOLDEN / name / "adapter").eval()
    generator = torch.Generator().manual_seed(1)
    prompts, expected = [], []
    for length in LENGTHS:
        while True:
            prompt = torch.randint(2, vocabulary, (length,), generator=generator).tolist()
            new = continuation(model, prompt, None)
            if is_clear(model, prompt + new, length):
                break
        prompts.append(prompt)
        expected.append(new)
    # An EOS that some text meets at once and others later or never.
    eos = expected[0][0]
    with_eos = [continuation(model, prompt, eos) for prompt in prompts]
    return {
        "model": name,
        "adapter": adapter,
        "prompts": prompts,
        "expected": expected,
        "eos": eos,
        "expected_with_eos": with_eos,
    }


def warper_case(row: int, temperature: float, top_k: int, top_p: float) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(100 + row)
    logits = (torch.randn(40, generator=generator, dtype=torch.float64) * 2).round(decimals=3)
    if row == 0:
        # Ties at the threshold of top-k, all of which stay. Which ones top-p drops torch.sort leaves open.
        logits = logits.round(decimals=0)
    scores = logits[None]
    for warper in [
        TemperatureLogitsWarper(temperature),
        *([TopKLogitsWarper(top_k)] if top_k else []),
        *([TopPLogitsWarper(top_p)] if top_p < 1 else []),
    ]:
        scores = warper(None, scores)
    kept = torch.isfinite(scores[0]).nonzero()[:, 0].tolist()
    return {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "logits": logits.tolist(),
        "kept": kept,
    }


def build() -> dict[str, Any]:
    greedy = [greedy_case(name, False) for name in MODELS] + [greedy_case(MODELS[-1], True)]
    warpers = [warper_case(row, *settings) for row, settings in enumerate(SETTINGS)]
    return {"new_tokens": NEW_TOKENS, "greedy": greedy, "warpers": warpers}


def main() -> None:
    Path(sys.argv[1]).write_text(json.dumps(build()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
