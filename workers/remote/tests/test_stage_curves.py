"""The worker's SFT and reward curves against those of the studio's engine, from the same seed, rows and weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REPOSITORY

from nagi_worker.curves import LOSS_TOLERANCE, NORM_TOLERANCE, STAGES, TITLES, Point, compare


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Point]]:
    return compare(tmp_path_factory.mktemp("curves"))


@pytest.mark.parametrize("stage", [stage["id"] for stage in STAGES])
def test_every_step_agrees(stage: str, curves: dict[str, list[Point]]) -> None:
    points = curves[stage]
    assert len(points) >= 4
    for point in points:
        assert point.loss_deviation <= LOSS_TOLERANCE, point
        assert point.norm_deviation <= NORM_TOLERANCE, point
    # A curve that stood still would agree with everything.
    assert abs(points[-1].worker_loss - points[0].worker_loss) > 100 * LOSS_TOLERANCE


def test_the_committed_tables_are_of_these_stages() -> None:
    text = Path(REPOSITORY / "docs" / "remote-worker-curves.md").read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(TITLES.values())
