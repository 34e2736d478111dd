"""Reference numbers for the statistics of ratings, by scipy, statsmodels and krippendorff.

    python -m nagi_worker.golden_ratings

writes `src/shared/stats/fixtures/ratings.json`; the versions that were used are in the file. Nothing here shares a formula
with the TypeScript: where a library has the figure, it is the library's; power is counted out over every n.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

FIXTURE = Path(__file__).resolve().parents[3] / "src/shared/stats/fixtures/ratings.json"
PACKAGES = ("numpy", "scipy", "statsmodels", "krippendorff")


def finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def shares() -> list[dict[str, Any]]:
    cases = []
    for n in (1, 2, 5, 6, 20, 37, 200, 1000, 20000):
        for k in sorted({0, 1, n // 3, n // 2, n - 1, n}):
            exact = proportion_confint(k, n, method="beta")
            wilson = proportion_confint(k, n, method="wilson")
            cases.append({
                "k": k, "n": n,
                "exact": [0.0 if k == 0 else exact[0], 1.0 if k == n else exact[1]],
                "wilson": [0.0 if k == 0 else wilson[0], 1.0 if k == n else wilson[1]],
                "p": stats.binomtest(k, n).pvalue,
                "lower": stats.binom.cdf(k, n, 0.37), "upper": stats.binom.sf(k - 1, n, 0.37),
            })  # fmt: skip
    return cases


def power(largest: int, share: float) -> np.ndarray:
    """Power of the two-sided exact test, 2.5 % a tail, for every n from 1 to `largest`."""
    n = np.arange(1, largest + 1)
    count = stats.binom.ppf(0.025, n, 0.5)
    count = np.where(stats.binom.cdf(count, n, 0.5) > 0.025, count - 1, count)
    return stats.binom.cdf(count, n, share) + stats.binom.sf(n - count - 1, n, share)


def powers() -> dict[str, Any]:
    needed = []
    for share in (0.0, 0.1, 0.3, 0.375, 0.45, 0.49, 0.501, 0.505, 0.52, 0.55, 0.6, 0.61, 2 / 3, 0.7, 0.75, 0.8, 0.9,
                  0.95, 0.97, 0.99, 1.0):  # fmt: skip
        gap = abs(share - 0.5)
        enough = power(int(2.2 / gap**2) + 20, share) >= 0.8
        needed.append({"share": share, "items": int(np.argmax(enough)) + 1})
        assert enough.any()
    curve = {"share": 0.6, "power": power(60, 0.6).tolist()}
    return {"needed": needed, "curve": curve}


def agreement(rng: np.random.Generator) -> list[dict[str, Any]]:
    cases = []
    for items, raters, categories, missing in ((5, 5, 3, 0.0), (30, 3, 3, 0.0), (30, 4, 3, 0.3), (12, 2, 2, 0.6)):
        truth = rng.integers(0, categories, items)
        votes = np.where(rng.random((items, raters)) < 0.5, truth[:, None], rng.integers(0, categories, (items, raters)))
        kept = rng.random((items, raters)) >= missing
        counts = np.stack([((votes == c) & kept).sum(1) for c in range(categories)], 1)
        full = counts[counts.sum(1) == raters]
        cases.append({
            "counts": counts.tolist(), "raters": raters,
            "fleiss": fleiss_kappa(full) if len(full) else None,
            "alpha": krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"),
        })  # fmt: skip
    return cases


def bradley_terry(rng: np.random.Generator) -> list[dict[str, Any]]:
    """A binomial GLM without intercept on differences of indicators, the last strength minus the sum of the others."""
    cases = []
    for models, games, dropped in ((3, 20, 0), (4, 9, 0), (5, 14, 3), (2, 11, 0)):
        strength = rng.normal(size=models)
        pairs = list(combinations(range(models), 2))
        # The first pairs hold everything together, some of the last are never played.
        played = sorted(pairs, key=lambda pair: pair[1] - pair[0])[: len(pairs) - dropped]
        wins = np.zeros((models, models))
        for i, j in played:
            won = min(max(rng.binomial(games, 1 / (1 + np.exp(strength[j] - strength[i]))), 1), games - 1)
            ties = int(rng.integers(0, 3))
            wins[i, j], wins[j, i] = won + ties / 2, games - won + ties / 2
        coding = np.vstack([np.eye(models - 1), -np.ones(models - 1)])
        design = np.array([coding[i] - coding[j] for i, j in played])
        outcome = np.array([[wins[i, j], wins[j, i]] for i, j in played])
        fit = sm.GLM(outcome, design, family=sm.families.Binomial()).fit(tol=1e-14, maxiter=200)
        covariance = coding @ np.atleast_2d(fit.cov_params()) @ coding.T
        cases.append({
            "wins": wins.tolist(), "log_strength": (coding @ fit.params).tolist(),
            "standard_error": np.sqrt(np.diag(covariance)).tolist(),
        })  # fmt: skip
    return cases


def length_control(rng: np.random.Generator) -> list[dict[str, Any]]:
    cases = []
    for items, pull in ((40, 1.0), (200, -2.0), (12, 0.0)):
        differences = rng.integers(-60, 90, items)
        chance = 1 / (1 + np.exp(-(0.3 + pull * np.tanh(differences / differences.std()))))
        scores = np.where(rng.random(items) < 0.2, 0.5, rng.random(items) < chance).astype(float)
        design = sm.add_constant(np.tanh(differences / differences.std()))
        fit = sm.GLM(scores, design, family=sm.families.Binomial()).fit(tol=1e-14, maxiter=200)
        low, high = fit.conf_int()[0]

        def expit(x: float) -> float:
            return float(1 / (1 + np.exp(-x)))

        cases.append({
            "scores": scores.tolist(), "differences": differences.tolist(), "slope": float(fit.params[1]),
            "win_rate": expit(fit.params[0]), "low": expit(low), "high": expit(high),
        })  # fmt: skip
    return cases


def bootstrap(rng: np.random.Generator) -> dict[str, Any]:
    scores = rng.choice([0, 0.5, 1], 60, p=[0.3, 0.2, 0.5])
    items = stats.bootstrap((scores,), np.mean, n_resamples=100_000, method="percentile", vectorized=True, rng=rng)
    counts = rng.multinomial(5, [0.3, 0.5, 0.2], 40)
    drawn = np.stack([rng.multinomial(5, row / row.sum(), 20_000) for row in counts], 1)
    ordered = np.sort(drawn, 2)
    winner = np.where(ordered[:, :, 2] == ordered[:, :, 1], 2, drawn.argmax(2))
    means = np.select([winner == 0, winner == 1], [0.0, 1.0], 0.5).mean(1)
    values = rng.normal(size=101)
    return {
        "scores": scores.tolist(),
        "items95": [float(items.confidence_interval.low), float(items.confidence_interval.high)],
        "counts": counts.tolist(), "votes95": np.quantile(means, [0.025, 0.975]).tolist(),
        "values": values.tolist(), "quantiles": np.quantile(values, [0.0, 0.025, 0.31, 0.975, 1.0]).tolist(),
    }  # fmt: skip


def rewards(rng: np.random.Generator) -> list[dict[str, Any]]:
    cases = []
    for items in (5, 50):
        people = rng.integers(0, 11, items) / 10
        difference = np.round(4 * (people - 0.5) + rng.normal(size=items) * 2, 1)
        spread = stats.median_abs_deviation(difference, scale="normal")
        cases.append({
            "people": people.tolist(), "difference": difference.tolist(),
            "spearman": stats.spearmanr(people, difference).statistic,
            "kendall": stats.kendalltau(people, difference).statistic,
            "robust_z": ((difference - np.median(difference)) / spread).tolist(),
        })  # fmt: skip
    return cases


def draw_votes(rng: np.random.Generator, raters: int, items: int, models: tuple[str, str], skill: float) -> list[dict]:
    votes = []
    for rater in range(raters):
        for item in rng.permutation(items):
            left, right = models if rng.random() < 0.5 else models[::-1]
            better = "left" if left == models[0] else "right"
            worse = "right" if better == "left" else "left"
            rest = 1 - skill
            choice = rng.choice(
                [better, worse, "tie", "both_bad", "skip", "missing"],
                p=[skill, rest * 0.45, rest * 0.2, rest * 0.1, rest * 0.15, rest * 0.1],
            )
            if choice != "missing":
                votes.append({
                    "rater": f"評価者{rater}", "item": int(item), "left": left, "right": right, "choice": str(choice),
                    "ms": int(rng.integers(300, 9000)),
                })  # fmt: skip
    return votes


def verdict(votes: list[dict]) -> dict[str, Any]:
    """The issue's conventions, by the libraries: skip is missing, both_bad a tie, a draw of the votes a tie."""
    models = sorted({vote[side] for vote in votes for side in ("left", "right")})
    items = sorted({vote["item"] for vote in votes})
    given = [vote for vote in votes if vote["choice"] != "skip"]
    raters = sorted({vote["rater"] for vote in given})
    table = np.full((len(raters), len(items)), np.nan)
    for vote in given:
        picked = vote[vote["choice"]] if vote["choice"] in ("left", "right") else None
        value = 2 if picked is None else models.index(picked)
        table[raters.index(vote["rater"]), items.index(vote["item"])] = value
    winners = []
    for column in table.T:
        ranked = Counter(column[~np.isnan(column)].tolist()).most_common()
        clear = ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1])
        winners.append(int(ranked[0][0]) if clear else 2)
    a, b, tie = (winners.count(code) for code in range(3))
    left = sum(vote["choice"] == "left" for vote in given)
    sided = left + sum(vote["choice"] == "right" for vote in given)
    decided = a + b

    def interval(method: str) -> list[float] | None:
        return list(proportion_confint(b, decided, method=method)) if decided else None

    exact = interval("beta")
    if exact and b == 0:
        exact[0] = 0.0
    if exact and b == decided:
        exact[1] = 1.0
    full = table[:, ~np.isnan(table).any(0)]
    counted = np.stack([(full == code).sum(0) for code in range(3)], 1)
    kappa = alpha = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(raters) > 1 and len(counted):
            kappa = fleiss_kappa(counted)
        if len(raters) > 1 and len(set(table[~np.isnan(table)])) > 1:
            alpha = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    needed = None
    if decided and a != b:
        enough = power(20_000, b / decided) >= 0.8
        needed = int(np.argmax(enough)) + 1
    return {
        "items": len(items), "votes": len(given), "models": models, "wins": {"A": a, "B": b, "tie": tie},
        "win_rate_b": (b + tie / 2) / len(items), "decided_b_exact95": exact, "decided_b_wilson95": interval("wilson"),
        "sign_test_p": stats.binomtest(b, decided).pvalue if decided else None, "fleiss_kappa": finite(kappa),
        "krippendorff_alpha": finite(alpha), "left_rate": left / sided if sided else None,
        "left_bias_p": stats.binomtest(left, sided).pvalue if sided else None, "items_for_80_power": needed,
    }  # fmt: skip


def verdicts(rng: np.random.Generator) -> list[dict[str, Any]]:
    cases = []
    for raters, items, models, skill in (
        (5, 20, ("sft", "ppo"), 0.4), (1, 7, ("b", "a"), 0.5), (3, 12, ("凪-2", "凪-10"), 0.1), (2, 4, ("x", "y"), 1.0),
    ):  # fmt: skip
        votes = draw_votes(rng, raters, items, models, skill)
        cases.append({"votes": votes, "verdict": verdict(votes)})
    for choices in (["tie", "both_bad", "tie"], ["skip", "skip"], ["left", "right"], ["left"] * 6):
        votes = [
            {"rater": "r", "item": f"i{at}", "left": "m1", "right": "m2", "choice": choice, "ms": 0}
            for at, choice in enumerate(choices)
        ]
        cases.append({"votes": votes, "verdict": verdict(votes)})
    return cases


def main() -> None:
    rng = np.random.default_rng(20240611)
    fixture = {
        "versions": {name: version(name) for name in PACKAGES},
        "shares": shares(), "power": powers(), "agreement": agreement(rng), "bradley_terry": bradley_terry(rng),
        "length_control": length_control(rng), "bootstrap": bootstrap(rng), "rewards": rewards(rng),
        "verdicts": verdicts(rng),
    }  # fmt: skip
    FIXTURE.write_text(json.dumps(fixture, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n", "utf8")


if __name__ == "__main__":
    main()
