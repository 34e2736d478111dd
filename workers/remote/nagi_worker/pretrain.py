"""Pre-train the base model that is bundled with Nagi.

    python -m nagi_worker.pretrain --text FOLDER --out DIR --minutes 85

Trains a byte-level BPE of 8,192 entries and a GPT-NeoX of OpenCALM's shape (sequential residual, rotary on every
dimension, untied embeddings, `<|endoftext|>` = 0, `<|padding|>` = 1) on the text below FOLDER, and writes DIR in
Hugging Face layout (f16 safetensors) with `pretrain.json`, which holds every figure the model card quotes.

The learning rate follows the wall clock (`--minutes`), so a slow machine gets fewer steps, never a truncated schedule.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from nagi_worker.corpus import EOS_ID, PAD_ID, PackedRows, pack, read_documents, split_documents, write_json
from nagi_worker.muon import Muon

VOCABULARY = 8192
SPECIAL_TOKENS = ["<|endoftext|>", "<|padding|>"]


def train_tokenizer(documents: list[str]) -> Tokenizer:
    """Byte-level BPE with the special tokens of OpenCALM at ids 0 and 1."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer=trainer)
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [EOS_ID, PAD_ID]
    return tokenizer


def base_config(context: int) -> GPTNeoXConfig:
    """5.4 M parameters: 8,192 x 192 twice for the embeddings, five layers of 0.44 M."""
    return GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        num_hidden_layers=5,
        num_attention_heads=6,
        intermediate_size=768,
        max_position_embeddings=context,
        hidden_act="gelu",
        rotary_pct=1.0,
        rotary_emb_base=10000,
        layer_norm_eps=1e-5,
        use_parallel_residual=False,
        tie_word_embeddings=False,
        bos_token_id=EOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
        attn_implementation="sdpa",
    )


def batch_loss(model: GPTNeoXForCausalLM, ids: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood (nats) of the next token inside its own document. ids, segments [B, T]."""
    batch, length = ids.shape
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    allowed = causal & (segments[:, None, :, None] == segments[:, None, None, :])
    logits = model(input_ids=ids, attention_mask=allowed, use_cache=False).logits
    inside = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
    targets = torch.where(inside, ids[:, 1:], -100)
    return F.cross_entropy(logits[:, :-1].float().reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=-100)


@torch.no_grad()
def evaluate(model: GPTNeoXForCausalLM, rows: PackedRows, characters: int, batch: int = 32) -> dict[str, float]:
    """Validation loss per token (nats) and per character (nats and bits).

    The first token of a document has no context and no prediction; its characters are counted, so the figure per
    character is comparable between tokenizers only up to that first token (about 4 % here).
    """
    model.eval()
    total, count = 0.0, 0
    for start in range(0, len(rows.ids), batch):
        ids = torch.from_numpy(rows.ids[start : start + batch]).long()
        segments = torch.from_numpy(rows.segments[start : start + batch]).long()
        predicted = int(((segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)).sum())
        total += batch_loss(model, ids, segments).item() * predicted
        count += predicted
    model.train()
    per_character = total / characters
    return {
        "tokens": count,
        "loss_per_token": total / count,
        "loss_per_character": per_character,
        "bits_per_character": per_character / math.log(2),
    }


def optimizers(model: GPTNeoXForCausalLM, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and biases."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [
        Muon(matrices, lr=lr),
        torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.95), weight_decay=0.01),
    ]


def learning_rate_factor(progress: float) -> float:
    """Warm-up over the first 2 %, then a linear decay to zero. `progress` in [0, 1]."""
    return min(progress / 0.02, (1 - progress) / 0.98) if progress < 1 else 0.0


def save(model: GPTNeoXForCausalLM, tokenizer: Tokenizer, out: Path, figures: dict[str, object]) -> None:
    """Write the checkpoint in f16 next to its tokenizer and figures."""
    out.mkdir(parents=True, exist_ok=True)
    half = GPTNeoXForCausalLM(model.config).half()
    half.load_state_dict({name: tensor.half() for name, tensor in model.state_dict().items()})
    half.save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"))
    special = {"bos_token": SPECIAL_TOKENS[0], "eos_token": SPECIAL_TOKENS[0], "pad_token": SPECIAL_TOKENS[1]}
    write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "GPTNeoXTokenizer",
            "unk_token": SPECIAL_TOKENS[0],
            "add_prefix_space": False,
            "model_max_length": model.config.max_position_embeddings,
            **special,
        },
    )
    write_json(out / "special_tokens_map.json", special)
    write_json(out / "pretrain.json", figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="folder of plain *.txt files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=85.0, help="training time on the wall clock")
    parser.add_argument("--length", type=int, default=128, help="tokens a row")
    parser.add_argument("--batch", type=int, default=16, help="rows a step")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)

    train, validation = split_documents(read_documents(arguments.text))
    tokenizer = train_tokenizer(train)

    def encode(texts: list[str]) -> list[list[int]]:
        return [encoding.ids + [EOS_ID] for encoding in tokenizer.encode_batch(texts)]

    train_ids = encode(train)
    validation_rows = pack(encode(validation), arguments.length, np.random.default_rng(1))
    characters = sum(len(document) + 1 for document in validation)
    tokens_in_epoch = sum(map(len, train_ids))
    print(f"{len(train)} documents, {tokens_in_epoch} tokens, {len(validation)} held out", flush=True)

    model = GPTNeoXForCausalLM(base_config(arguments.context))
    chosen = optimizers(model, arguments.lr)
    began, last_eval, step, tokens, epoch = time.monotonic(), time.monotonic(), 0, 0, 0
    history: list[dict[str, float]] = []
    progress = 0.0
    while progress < 1:
        rows = pack(train_ids, arguments.length, rng)
        for start in range(0, len(rows.ids) - arguments.batch + 1, arguments.batch):
            progress = (time.monotonic() - began) / (60 * arguments.minutes)
            if progress >= 1:
                break
            ids = torch.from_numpy(rows.ids[start : start + arguments.batch]).long()
            segments = torch.from_numpy(rows.segments[start : start + arguments.batch]).long()
            loss = batch_loss(model, ids, segments)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in chosen:
                for group in optimizer.param_groups:
                    group["lr"] = arguments.lr * learning_rate_factor(progress)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            step += 1
            tokens += int((segments > 0).sum())
            if step % 50 == 0:
                print(f"step {step} {progress:.3f} loss {loss.item():.4f} tokens {tokens}", flush=True)
            if time.monotonic() - last_eval > 420 or step == 200:
                last_eval = time.monotonic()
                history.append({"step": step, "tokens_seen": tokens, **evaluate(model, validation_rows, characters)})
                print(history[-1], flush=True)
                save(model, tokenizer, arguments.out, {"unfinished": True, "history": history})
        else:
            epoch += 1
    half = GPTNeoXForCausalLM(model.config)
    half.load_state_dict({name: tensor.half().float() for name, tensor in model.state_dict().items()})
    final = evaluate(half, validation_rows, characters)
    figures = {
        "arguments": {name: value for name, value in vars(arguments).items() if not isinstance(value, Path)},
        "parameters": sum(p.numel() for p in model.parameters()),
        "documents": {"train": len(train), "validation": len(validation)},
        "tokens_in_epoch": tokens_in_epoch,
        "characters_per_token": characters / sum(map(len, encode(validation))),
        "epochs": tokens / tokens_in_epoch,
        "steps": step,
        "tokens_seen": tokens,
        "seconds": time.monotonic() - began,
        "validation": {**final, "characters": characters, "weights": "float16, as stored"},
        "history": history,
        "torch": torch.__version__,
    }
    save(model, tokenizer, arguments.out, figures)
    print(final, flush=True)


if __name__ == "__main__":
    main()
