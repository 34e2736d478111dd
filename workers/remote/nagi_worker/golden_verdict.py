"""The verdict over a votes file by scipy, statsmodels and krippendorff, to hold `nagi verdict` and the studio against.

    python -m nagi_worker.golden_verdict VOTES.jsonl

prints one JSON object with the keys of docs/verdict.md. Shares no code with the TypeScript.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .golden_ratings import verdict

Vote = dict[str, Any]


def read_votes(text: str) -> list[Vote]:
    """Votes of a file, one JSON object a line. Item ids as text: 7 and "7" are the same item."""
    votes = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [{**vote, "item": str(vote["item"]), "rater": str(vote["rater"])} for vote in votes]


def first_votes(votes: list[Vote]) -> list[Vote]:
    """Without repeats: a rater's first vote on an item counts. Skips are no votes, and stay."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for vote in votes:
        key = (vote["rater"], vote["item"])
        if vote["choice"] != "skip" and key in seen:
            continue
        if vote["choice"] != "skip":
            seen.add(key)
        kept.append(vote)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("votes", type=Path)
    text = parser.parse_args().votes.read_text("utf8")
    print(json.dumps(verdict(first_votes(read_votes(text))), ensure_ascii=False, allow_nan=False))


if __name__ == "__main__":
    main()
