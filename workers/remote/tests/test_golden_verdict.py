"""The independent verdict itself: repeats and skips, against figures worked out by hand."""

from __future__ import annotations

import json

import pytest

from nagi_worker.golden_ratings import verdict
from nagi_worker.golden_verdict import first_votes, read_votes


def line(rater: str, item: int | str, choice: str, swapped: bool = False) -> str:
    left, right = ("b", "a") if swapped else ("a", "b")
    return json.dumps({"rater": rater, "item": item, "left": left, "right": right, "choice": choice, "ms": 1})


def test_repeats_do_not_count_and_a_skip_is_no_first_vote() -> None:
    text = "\n".join([
        line("r1", 1, "skip"),
        line("r1", "1", "left"),  # a; counts, the skip was no vote
        line("r1", 1, "right"),  # a repeat
        line("r2", 1, "left", swapped=True),  # b
        "",
        line("r1", 2, "right"),  # b
        line("r2", 2, "left", swapped=True),  # b
        line("r1", 3, "both_bad"),  # tie
    ])  # fmt: skip
    found = verdict(first_votes(read_votes(text)))
    assert found["items"] == 3
    assert found["votes"] == 5
    assert found["wins"] == {"A": 0, "B": 1, "tie": 2}
    assert found["win_rate_b"] == pytest.approx((1 + 1) / 3)
    assert found["left_rate"] == pytest.approx(3 / 4)
