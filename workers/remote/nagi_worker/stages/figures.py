"""What rewards say about texts with known labels: the figures of src/shared/stats and engine/train/evaluate.ts, in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from .data import Pair, Row
from .events import Metrics
from .rng import Random

BINS = 10
#: rows of the n-gram baseline, as in engine/data/ngram.ts
BASELINE_ROWS = 20_000


@dataclass(frozen=True)
class Scored:
    """A split with its rewards; the arrays run in parallel."""

    rewards: np.ndarray
    labels: np.ndarray
    #: tokens a text, EOS included
    lengths: np.ndarray
    #: pairwise only
    pairs: list[Pair]


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Chance that a random positive scores above a random negative, ties half. None without both labels."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0 or not np.isfinite(scores).all():
        return None
    ranks = rankdata(scores)
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def pearson(x: np.ndarray, y: np.ndarray) -> float | None:
    """None for a side that does not vary."""
    a, b = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return max(-1.0, min(1.0, float(a @ b) / scale)) if math.isfinite(scale) and scale > 0 else None


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    return pearson(rankdata(x), rankdata(y))


def sigmoid(x: np.ndarray) -> np.ndarray:
    power = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + power), power / (1 + power))


def calibration(scored: Scored, threshold: float) -> list[dict[str, Any]]:
    """Bins of the reliability diagram; sigmoid(reward - threshold) is the predicted probability of "positive"."""
    probabilities = sigmoid(scored.rewards - threshold)
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    rows = []
    for index in range(BINS):
        here = bins == index
        count = int(here.sum())
        rows.append({
            "low": index / BINS,
            "high": (index + 1) / BINS,
            "count": count,
            "mean_predicted": float(probabilities[here].mean()) if count else None,
            "share_positive": float(scored.labels[here].mean()) if count else None,
        })  # fmt: skip
    return rows


def calibration_error(bins: Sequence[dict[str, Any]]) -> float:
    used = [one for one in bins if one["count"]]
    gaps = sum(one["count"] * abs(one["mean_predicted"] - one["share_positive"]) for one in used)
    return gaps / sum(one["count"] for one in used)


def best_threshold(rewards: np.ndarray, labels: np.ndarray) -> float:
    """The cut with the highest accuracy; of several the one in the middle, never on a row (evaluate.ts)."""
    order = np.argsort(rewards, kind="stable")
    ordered = rewards[order]
    right = most = int(labels.sum())
    best = [-math.inf]
    for position, index in enumerate(order):
        right += -1 if labels[index] == 1 else 1
        following = ordered[position + 1] if position + 1 < len(ordered) else math.inf
        if ordered[position] == following or right < most:
            continue
        if right > most:
            best = []
        most = right
        best.append((ordered[position] + following) / 2)
    middle = float(best[len(best) // 2])
    if middle == math.inf:
        return float(ordered[-1]) + 1
    return float(ordered[0]) - 1 if middle == -math.inf else middle


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def accuracy(rewards: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    return float(((rewards > threshold) == (labels == 1)).mean())


def pair_figures(rewards: np.ndarray, pairs: Sequence[Pair]) -> tuple[float, Metrics]:
    """(mean loss, accuracy and margin) of pairs."""
    margins = np.array([rewards[pair.chosen] - rewards[pair.rejected] for pair in pairs])
    figures = {"pairwise_accuracy": float((margins > 0).mean()), "pairwise_margin": float(margins.mean())}
    return float(softplus(-margins).mean()), figures


def evaluation_metrics(prefix: str, scored: Scored, objective: str, threshold: float) -> Metrics:
    """All figures of a split, keys with the prefix. @param threshold 0 except for pairwise"""
    rewards, labels = scored.rewards, scored.labels
    lengths = scored.lengths.astype(float)
    pairs: Metrics = {}
    if objective == "pairwise":
        loss, pairs = pair_figures(rewards, scored.pairs)
        pairs["threshold"] = threshold
    else:
        loss = float(softplus(np.where(labels == 1, -rewards, rewards)).mean())
    both = 0 < labels.sum() < len(labels)
    metrics: Metrics = {
        "loss": loss,
        "accuracy": accuracy(rewards, labels, threshold),
        "auc": area_under_curve(rewards, labels),
        "mean_reward": float(rewards.mean()),
        "min_reward": float(rewards.min()),
        "max_reward": float(rewards.max()),
        "margin": float(rewards[labels == 1].mean() - rewards[labels == 0].mean()) if both else None,
        "length_correlation": pearson(rewards, lengths),
        "length_rank_correlation": spearman(rewards, lengths),
        "calibration_error": calibration_error(calibration(scored, threshold)),
        **pairs,
    }
    return {f"{prefix}_{key}": value for key, value in metrics.items()}


def fit_baselines(train: Sequence[Row], splits: Sequence[Sequence[Row] | None]) -> list[dict[str, float | None] | None]:
    """What a reward model has to beat, on each split: the more frequent label, and character n-grams (scikit-learn's)."""
    used = list(train)
    if len(used) > BASELINE_ROWS:
        used = list(Random.seeded(0).shuffle(used))[:BASELINE_ROWS]
    labels = np.array([row.label for row in used])
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=min(2, len(used)), sublinear_tf=True)
    features = vectorizer.fit_transform([row.sentence for row in used])
    classifier = LogisticRegression(C=10, max_iter=1000, tol=1e-5).fit(features, labels)
    majority = int(2 * sum(row.label for row in train) >= len(train))

    def on(split: Sequence[Row]) -> dict[str, float | None]:
        truth = np.array([row.label for row in split])
        scores = classifier.decision_function(vectorizer.transform([row.sentence for row in split]))
        return {
            "majority_accuracy": float((truth == majority).mean()),
            "ngram_accuracy": accuracy(scores, truth, 0),
            "ngram_auc": area_under_curve(scores, truth),
        }

    return [None if split is None else on(split) for split in splits]
