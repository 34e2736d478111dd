"""SFT by `nagi run` on packed rows, confirmed by transformers on every text by itself: curve, norms, final loss."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY, nagi
from tokenizers import Tokenizer
from transformers import GPTNeoXForCausalLM

DATA = REPOSITORY / "public" / "datasets" / "reviews-ja"
MODEL = REPOSITORY / "public" / "models" / "nagi-base"
ROWS = {"train": 20, "validation": 12}
EOS_ID = 0
# Every row in every step: whatever order the rows are drawn in, a step is the same.
STAGE = {
    "stage": "sft",
    "peft": None,
    "packing": "bfd",
    "max_length": 128,
    "per_device_train_batch_size": 512,
    "max_steps": 4,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "linear",
    "warmup_ratio": 0.25,
    "weight_decay": 0.1,
    "max_grad_norm": 1.0,
    "eval_steps": 4,
    "save_steps": 4,
    "logging_steps": 1,
    "sample_texts": 0,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    folder = tmp_path_factory.mktemp("sft")
    texts: dict[str, list[str]] = {}
    for split, count in ROWS.items():
        lines = (DATA / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        texts[split] = [json.loads(line)["sentence"] for line in lines]
    data = {split: str(folder / f"{split}.jsonl") for split in ROWS} | {"test": None}
    config = {"name": "sft", "data": data, "stages": [STAGE]}
    (folder / "run.json").write_text(json.dumps(config), encoding="utf-8")
    code, _, stderr = nagi("run", str(folder / "run.json"), "--out", str(folder / "out"))
    assert code == 0, stderr
    return folder / "out", texts


def encode(texts: list[str]) -> list[torch.Tensor]:
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    return [torch.tensor([[*tokenizer.encode(text).ids, EOS_ID]]) for text in texts]


def loss_of(model: GPTNeoXForCausalLM, texts: list[torch.Tensor]) -> torch.Tensor:
    """Mean over all predicted tokens of all texts, none of which sees another."""
    total = torch.zeros(())
    for ids in texts:
        logits = model(input_ids=ids).logits[0, :-1].float()
        total = total + torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
    return total / sum(ids.shape[1] - 1 for ids in texts)


def events_of(out: Path, kind: str) -> list[dict]:
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [event for event in events if event["type"] == kind]


def test_pytorch_confirms_the_curve_of_packed_rows(run) -> None:
    out, texts = run
    model = GPTNeoXForCausalLM.from_pretrained(MODEL, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    rows = encode(texts["train"])
    logged = events_of(out, "log")
    assert [event["step"] for event in logged] == [1, 2, 3, 4]
    # warmup_ratio 0.25 of 4 steps: the first step has the rate 0, then 1e-3 falls to 0 in three.
    for event, rate in zip(logged, [0, 1e-3, 1e-3 * 2 / 3, 1e-3 / 3], strict=True):
        assert event["metrics"]["learning_rate"] == pytest.approx(rate, abs=1e-9)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = loss_of(model, rows)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
        optimizer.step()
        assert event["metrics"]["loss"] == pytest.approx(loss.item(), rel=1e-3)
        assert event["metrics"]["grad_norm"] == pytest.approx(norm, rel=2e-3)
    with torch.no_grad():
        final = loss_of(model.eval(), encode(texts["validation"])).item()
    assert events_of(out, "eval")[-1]["metrics"]["eval_loss"] == pytest.approx(final, rel=1e-3)


def test_transformers_confirms_the_figures_of_the_saved_model(run) -> None:
    out, texts = run
    model = GPTNeoXForCausalLM.from_pretrained(out / "model", dtype=torch.float32).eval()
    with torch.no_grad():
        loss = loss_of(model, encode(texts["validation"])).item()
    metrics = json.loads((out / "report.json").read_text(encoding="utf-8"))["stages"][0]["metrics"]
    assert metrics["eval_loss"] == pytest.approx(loss, rel=1e-4)
    assert metrics["eval_perplexity"] == pytest.approx(math.exp(loss), rel=1e-3)
