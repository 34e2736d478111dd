"""A short `nagi run` from the bundled model, confirmed by transformers and scikit-learn from the files it wrote."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, nagi
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer
from transformers import GPTNeoXForSequenceClassification

DATA = REPOSITORY / "public" / "datasets" / "reviews-ja"
ROWS = {"train": 240, "validation": 60, "test": 90}
EOS_ID = 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[dict[str, str]]]]:
    """Twelve steps on a slice of the bundled reviews."""
    folder = tmp_path_factory.mktemp("run")
    rows: dict[str, list[dict[str, str]]] = {}
    overrides: list[str] = []
    for split, count in ROWS.items():
        lines = (DATA / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        rows[split] = [json.loads(line) for line in lines]
        overrides += ["--set", f"data.{split}={folder / f'{split}.jsonl'}"]
    code, _, stderr = nagi(
        "run",
        str(REPOSITORY / "examples" / "reward.json"),
        "--out",
        str(folder / "out"),
        *overrides,
        "--set",
        "stages.0.max_steps=12",
        "--set",
        "stages.0.eval_steps=6",
        "--set",
        "stages.0.logging_steps=1",
    )
    assert code == 0, stderr
    return folder / "out", rows


def metrics_of(out: Path) -> dict[str, float]:
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert [stage["stage"] for stage in report["stages"]] == ["reward"]
    assert report["stages"][0]["seconds"] > 0
    assert report["stages"][0]["tokensPerSecond"] > 0
    return report["stages"][0]["metrics"]


def score(out: Path, sentences: list[str]) -> np.ndarray:
    """Rewards by transformers, in float32, from the checkpoint that Nagi saved."""
    model = GPTNeoXForSequenceClassification.from_pretrained(out / "model", dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(out / "model" / "tokenizer.json"))
    rewards = []
    with torch.no_grad():
        for sentence in sentences:
            ids = torch.tensor([[*tokenizer.encode(sentence).ids, EOS_ID]])
            rewards.append(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 0].item())
    return np.array(rewards)


def test_transformers_confirms_the_test_figures(run) -> None:
    out, rows = run
    metrics = metrics_of(out)
    truth = np.array([row["label"] == "positive" for row in rows["test"]])
    rewards = score(out, [row["sentence"] for row in rows["test"]])
    assert metrics["test_accuracy"] == pytest.approx(np.mean((rewards > 0) == truth), abs=1.5 / len(truth))
    assert metrics["test_auc"] == pytest.approx(roc_auc_score(truth, rewards), abs=2e-3)


def test_transformers_confirms_every_stored_reward(run) -> None:
    out, _ = run
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["seq"] for event in events] == list(range(len(events)))
    samples = next(event for event in events if event["type"] == "result")["samples"]
    assert len(samples) == ROWS["validation"]
    rewards = score(out, [sample["sentence"] for sample in samples])
    worst = np.abs(rewards - np.array([sample["reward"] for sample in samples])).max()
    assert worst <= 2e-4


def test_scikit_learn_confirms_the_baselines(run) -> None:
    out, rows = run
    metrics = metrics_of(out)
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
    labels = {split: np.array([row["label"] == "positive" for row in rows[split]]) for split in rows}
    features = vectorizer.fit_transform([row["sentence"] for row in rows["train"]])
    classifier = LogisticRegression(C=10, max_iter=2000, tol=1e-6).fit(features, labels["train"])
    decided = classifier.predict(vectorizer.transform([row["sentence"] for row in rows["test"]]))
    assert metrics["ngram_accuracy"] == pytest.approx(np.mean(decided == labels["test"]), abs=1.5 / ROWS["test"])
    majority = labels["train"].mean() >= 0.5
    assert metrics["majority_accuracy"] == pytest.approx(np.mean(labels["test"] == majority), abs=1e-9)


def test_losses_are_finite_and_fall(run) -> None:
    out, _ = run
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [event["metrics"]["loss"] for event in events if event["type"] == "log"]
    assert len(losses) == 12
    assert all(loss is not None and math.isfinite(loss) for loss in losses)
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) + 0.05
