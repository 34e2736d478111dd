"""Write the card of the bundled base from its own figures: `python -m nagi_worker.model_card MODEL_DIR`.

Every number comes from `pretrain.json` and the files in MODEL_DIR; the continuations are drawn here with a fixed seed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from tokenizers import Tokenizer
from transformers import GPTNeoXForCausalLM

PROMPTS = ["この宿は", "朝食がとて", "来客数は前", "部屋の掃除", "今月の売上"]

TEXT_SOURCES = """\
- 「景気ウォッチャー調査」（内閣府）を加工して作成。データセット: Masahiro Suzuki, Hiroki Sakaji (2025),
  doi 10.1145/3701716.3715304, CC BY 4.0. Changes: comments of all ratings, exact duplicates dropped; the rows of the
  economy-watchers validation and test splits are left out.
- megagonlabs/asdc (dialogue utterances about hotels), commit f37d6575, CC BY 4.0.
- megagonlabs quasi-reviews of hotels, CC BY 4.0."""


@torch.no_grad()
def continuations(folder: Path, tokens: int = 40, temperature: float = 0.8, top_p: float = 0.95) -> list[tuple[str, str]]:
    """(prompt, continuation) pairs, nucleus sampling, seed 0."""
    model = GPTNeoXForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    pairs = []
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=temperature,
            top_p=top_p,
            max_new_tokens=tokens,
            eos_token_id=0,
            pad_token_id=1,
        )
        text = tokenizer.decode(out[0, ids.shape[1] :].tolist(), skip_special_tokens=True)
        pairs.append((prompt, text.replace("\n", " ")))
    return pairs


def card(folder: Path) -> str:
    """The text of README.md."""
    figures = json.loads((folder / "pretrain.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    size = (folder / "model.safetensors").stat().st_size
    validation = figures["validation"]
    samples = "\n".join(f"| {prompt} | {text} |" for prompt, text in continuations(folder))
    return f"""---
license: cc-by-4.0
language: ja
library_name: transformers
pipeline_tag: text-generation
---
# nagi-base

A small OpenCALM-shaped GPT-NeoX for learning what RLHF does inside a browser tab. It writes short Japanese sentences
in the manner of hotel dialogues and shop owners' reports; it knows nothing, and must not be used for anything else.

| | |
|---|---|
| parameters | {figures["parameters"]:,} ({size / 1e6:.1f} MB in float16) |
| shape | hidden {config["hidden_size"]}, {config["num_hidden_layers"]} layers, {config["num_attention_heads"]} heads, MLP {config["intermediate_size"]}, sequential residual, rotary on every dimension, untied embeddings |
| context | {config["max_position_embeddings"]} tokens (trained on documents of up to {figures["arguments"]["length"]}) |
| tokenizer | byte-level BPE, {config["vocab_size"]:,} entries, `<|endoftext|>` = 0, `<|padding|>` = 1, {figures["characters_per_token"]:.2f} characters a token on held-out text |
| training | {figures["tokens_seen"]:,} tokens ({figures["epochs"]:.2f} epochs of {figures["documents"]["train"]:,} documents), {figures["steps"]:,} steps, {figures["seconds"] / 60:.0f} minutes on {figures["arguments"]["threads"]} CPU thread(s), Muon + AdamW, linear decay |
| held-out loss | **{validation["bits_per_character"]:.3f} bits a character** ({validation["loss_per_character"]:.4f} nats; {validation["loss_per_token"]:.4f} nats a token) on {figures["documents"]["validation"]:,} documents, {validation["characters"]:,} characters, with the float16 weights as stored |

Held-out documents are chosen by their hash, after exact duplicates were dropped. A document's first token is not
predicted (it has no context), its characters are counted. All figures are in `pretrain.json`; made by
`workers/remote/nagi_worker/pretrain.py`.

## Sample continuations

Nucleus sampling (temperature 0.8, top-p 0.95, seed 0), first draw, not chosen:

| prompt | continuation |
|---|---|
{samples}

## Data and attribution

{TEXT_SOURCES}

The weights are a work made from these texts and are released under CC BY 4.0 with the attribution above. No text of
`reviews-ja` (the bundled reviews) was seen in pre-training.

## Limits

Five million parameters and a few megabytes of two narrow domains: fluent for a clause, without facts, with the biases
of its sources. Meant for tutorials, tests and first reward models.
"""


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "README.md").write_text(card(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
