"""The base model's licence and authors in what a stage leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nagi_worker.stages.credit import credit_of, write_credit
from nagi_worker.stages.job import Input, Job

OPEN_CALM = {
    "name": "cyberagent/open-calm-small",
    "license": "cc-by-sa-4.0",
    "holder": "CyberAgent, Inc.",
    "url": "https://huggingface.co/cyberagent/open-calm-small",
}


def job(folder: Path, model: Input) -> Job:
    return Job(folder, "run", 0, {"id": "sft", "stage": "sft"}, {}, {"model": model}, {})


def base(folder: Path, credit: object) -> Input:
    folder.mkdir(exist_ok=True)
    (folder / "nagi_credit.json").write_text(json.dumps(credit), encoding="utf-8")
    return Input(str(folder), "model")


@pytest.mark.parametrize("kind", ["adapter", "model", "reward_model"])
def test_what_is_made_names_the_model_below_its_adapter(tmp_path: Path, kind: str) -> None:
    adapter = Input(str(tmp_path), "adapter", base(tmp_path / "base", OPEN_CALM))
    write_credit(job(tmp_path, adapter), kind, tmp_path)
    assert json.loads((tmp_path / "nagi_credit.json").read_text(encoding="utf-8")) == OPEN_CALM
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: cc-by-sa-4.0\nbase_model: cyberagent/open-calm-small\n")
    assert "by CyberAgent, Inc." in card
    assert "under the same licence only" in card


def test_a_hub_model_is_known_by_its_name(tmp_path: Path) -> None:
    assert credit_of(job(tmp_path, Input("cyberagent/open-calm-small", "hub"))) == OPEN_CALM
    other = credit_of(job(tmp_path, Input("someone/model", "hub")))
    assert other is not None
    assert (other["license"], other["holder"]) == (None, "someone")


@pytest.mark.parametrize("credit", [[], {"license": "mit"}, {"name": 3}])
def test_a_base_that_says_nothing_leaves_nothing(tmp_path: Path, credit: object) -> None:
    write_credit(job(tmp_path, base(tmp_path / "base", credit)), "model", tmp_path)
    assert not (tmp_path / "README.md").exists()
    write_credit(job(tmp_path, base(tmp_path / "base", OPEN_CALM)), "generations", tmp_path)
    assert not (tmp_path / "README.md").exists()
