"""transformers loads what Nagi's TypeScript writer saves (workers/engine/io/fixtures/saved-model) and agrees on it.

The folder is the writer's own output: workers/engine/io/saved-model.test.ts holds the writer to these bytes.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from conftest import REPOSITORY
from safetensors.numpy import load_file
from scipy.special import erf
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

FOLDER = REPOSITORY / "workers/engine/io/fixtures/saved-model"
TEXTS = ["とても良い商品です。", "すぐに壊れた", "凪"]


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Layer norm over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def rotate(x: np.ndarray, dims: int) -> np.ndarray:
    """Rotary positions on the first `dims` of [heads, tokens, head_dim]."""
    angles = np.arange(x.shape[1])[:, None] * 10000.0 ** (-np.arange(0, dims, 2) / dims)
    cos, sin = np.cos(np.tile(angles, 2)), np.sin(np.tile(angles, 2))
    turned = np.concatenate([-x[..., dims // 2 : dims], x[..., : dims // 2]], -1)
    return np.concatenate([x[..., :dims] * cos + turned * sin, x[..., dims:]], -1)


def scores(weights: dict[str, np.ndarray], ids: list[int], heads: int, layers: int, rotary: int) -> np.ndarray:
    """A sequential GPT-NeoX with a score head on the last token, in plain float64 numpy."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = w["gpt_neox.embed_in.weight"][ids]
    tokens, hidden = x.shape

    def linear(name: str, value: np.ndarray) -> np.ndarray:
        return value @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name: str, value: np.ndarray) -> np.ndarray:
        return layer_norm(value, w[f"{name}.weight"], w[f"{name}.bias"])

    for layer in range(layers):
        prefix = f"gpt_neox.layers.{layer}."
        qkv = linear(f"{prefix}attention.query_key_value", norm(f"{prefix}input_layernorm", x))
        q, k, v = np.split(qkv.reshape(tokens, heads, -1).transpose(1, 0, 2), 3, -1)
        logits = rotate(q, rotary) @ rotate(k, rotary).transpose(0, 2, 1) / np.sqrt(hidden // heads)
        logits[:, np.triu(np.ones((tokens, tokens), bool), 1)] = -np.inf
        weight = np.exp(logits - logits.max(-1, keepdims=True))
        mixed = (weight / weight.sum(-1, keepdims=True)) @ v
        x = x + linear(f"{prefix}attention.dense", mixed.transpose(1, 0, 2).reshape(tokens, hidden))
        inner = linear(f"{prefix}mlp.dense_h_to_4h", norm(f"{prefix}post_attention_layernorm", x))
        x = x + linear(f"{prefix}mlp.dense_4h_to_h", inner * (1 + erf(inner / np.sqrt(2))) / 2)
    return norm("gpt_neox.final_layer_norm", x)[-1] @ w["score.weight"].T


def test_transformers_loads_every_weight_and_no_other() -> None:
    model, info = AutoModelForSequenceClassification.from_pretrained(
        FOLDER, output_loading_info=True, dtype=torch.float32
    )
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    stored = load_file(FOLDER / "model.safetensors")
    state = model.state_dict()
    assert stored.keys() == state.keys()
    for name, value in stored.items():
        np.testing.assert_array_equal(state[name].numpy(), value)


def test_config_means_the_same_to_old_and_new_readers() -> None:
    config = AutoConfig.from_pretrained(FOLDER)
    assert config.num_labels == 2
    assert config.id2label == {0: "negative", 1: "positive"}
    assert (config.pad_token_id, config.eos_token_id) == (1, 0)
    assert config.rope_parameters["partial_rotary_factor"] == 0.5
    raw = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert (raw["rotary_pct"], raw["rotary_emb_base"]) == (0.5, 10000)


def test_scores_of_a_padded_batch_equal_plain_numpy() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    rows = [tokenizer(text, add_special_tokens=False).input_ids + [tokenizer.eos_token_id] for text in TEXTS]
    assert len({len(row) for row in rows}) > 1
    width = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows])
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER, dtype=torch.float64).eval()
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=(ids != tokenizer.pad_token_id).long()).logits.numpy()
    weights = load_file(FOLDER / "model.safetensors")
    expected = np.stack([scores(weights, row, heads=2, layers=2, rotary=4) for row in rows])
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    assert np.ptp(expected, axis=0).min() > 1e-2  # the texts do differ
