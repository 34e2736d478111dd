"""Trackers: what the studio's form says reaches wandb.init unharmed, and events become figures that can be read back."""

from __future__ import annotations

import json
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stage_kit as kit

from nagi_worker.errors import NagiError
from nagi_worker.stages import forward as forwarding
from nagi_worker.stages.job import FAILED, FINISHED
from nagi_worker.stages.trackers import figures, trackers_of, wandb_settings

FORM = {
    "project": "凪-reviews",
    "name": "sft 7B",
    "entity": "team",
    "tags": ["japanese", "ppo"],
    "group": "evening",
    "mode": "offline",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.write_model(tmp_path_factory.mktemp("base"))


#: of the files W&B writes: a header of 7 bytes, then LevelDB's log format
BLOCK, HEADER = 32_768, 7


def log_records(content: bytes) -> list[bytes]:
    """The records of such a file: pieces of at most a block, each after a checksum, its length and its kind."""
    records, at, partial = [], HEADER, b""
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:  # too little room for a piece's header: filler
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + HEADER])
        partial += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # whole, or the last piece
            records.append(partial)
            partial = b""
    return records


def wandb_records(folder: Path) -> list[Any]:
    """Every record of the one run that W&B wrote below a folder."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.rglob("run-*.wandb")
    records = []
    for data in log_records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        records.append(record)
    return records


def history(records: list[Any]) -> list[dict[str, Any]]:
    rows = []
    for record in records:
        if record.WhichOneof("record_type") == "history":
            items = {
                (item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in record.history.item
            }
            rows.append(items)
    return rows


def test_a_stage_in_wandb_offline_holds_the_forms_settings_and_the_figures(base: Path, tmp_path: Path) -> None:
    launch = {"tracking": {"trackers": ["wandb", "tensorboard"], "wandb": FORM}}
    stage = {**kit.SFT, "sample_texts": 1, "max_steps": 3}
    folder = kit.write_job(tmp_path / "run", stage, {"model": kit.model_input(base)}, launch=launch)
    done = kit.run_command([sys.executable, "-m", "nagi_worker.stages", str(folder)])
    assert done.returncode == FINISHED, done.stderr[-3000:]
    records = wandb_records(folder / "trackers")
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"][:1]
    assert run.project == FORM["project"] and run.entity == FORM["entity"] and run.run_group == FORM["group"]
    assert run.display_name == FORM["name"] and sorted(run.tags) == sorted(FORM["tags"])
    assert run.run_id == "run-1"
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["seed"] == 5 and config["stage"]["id"] == "sft"
    rows = history(records)
    logged = {row["step"]: row["loss"] for row in rows if "loss" in row}
    assert logged == {event["step"]: event["metrics"]["loss"] for event in kit.events(folder, "log")}
    assert any(key.startswith("samples") for row in rows for key in row)
    # What the Trainer would have sent by itself is not there twice.
    assert not any(key.startswith("train/") for row in rows for key in row)
    check_tensorboard(folder)


def check_tensorboard(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "trackers" / "tensorboard"))
    found.Reload()
    losses = {point.step: point.value for point in found.Scalars("loss")}
    for event in kit.events(folder, "log"):
        assert losses[event["step"]] == pytest.approx(event["metrics"]["loss"], rel=1e-6)
    assert "eval_loss" in found.Tags()["scalars"]


def test_settings_reach_wandb_init_as_they_are() -> None:
    settings = wandb_settings(FORM, "run-1", "stage")
    assert settings == {**FORM, "id": "run-1", "resume": "allow"}
    assert wandb_settings({"project": None, "tags": ["a"]}, "run-1", "stage") == {
        "project": "nagi",
        "name": "stage",
        "id": "run-1",
        "resume": "allow",
        "tags": ["a"],
    }
    # The walk-through's own mistake: settings one level too deep.
    with pytest.raises(NagiError) as caught:
        wandb_settings({"wandb": {"name": "x"}}, "run-1", "stage")
    assert caught.value.details["path"] == "launch.tracking.wandb"


def test_without_a_key_on_the_worker_online_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    launch = {"tracking": {"trackers": ["wandb"], "wandb": {**FORM, "mode": "online"}}}
    folder = kit.write_job(tmp_path / "run", kit.SFT, {"model": kit.model_input(base)}, launch=launch)
    assert kit.run_here(folder) == FAILED
    error = json.loads((folder / "error.json").read_text(encoding="utf-8"))
    assert error["code"] == "config.invalid" and "WANDB_API_KEY" in error["message"]


def test_a_tracker_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    with pytest.raises(NagiError) as caught:
        trackers_of({"trackers": ["trackio"], "wandb": None}, "run-1", "x", {}, tmp_path)
    assert caught.value.details["path"] == "launch.tracking.trackers"


def test_only_numbers_are_figures() -> None:
    assert figures({"type": "log", "metrics": {"loss": 1.5, "eps": None}}) == {"loss": 1.5}
    assert figures({"type": "result", "metrics": {"eval_loss": 2}}) == {"result/eval_loss": 2}
    assert figures({"type": "checkpoint", "step": 1, "bytes": 3}) == {}


BROWSER = [
    {"type": "state", "run_id": "b", "seq": 0, "time": 1, "state": "running", "error": None},
    {"type": "log", "run_id": "b", "seq": 1, "time": 2000, "step": 1, "metrics": {"loss": 2.5}},
    {"type": "eval", "run_id": "b", "seq": 2, "time": 3000, "step": 1, "metrics": {"eval_loss": 2.25}},
    {"type": "state", "run_id": "b", "seq": 3, "time": 4000, "state": "finished", "error": None},
]


def test_a_browser_run_is_forwarded_until_its_end(tmp_path: Path) -> None:
    """Events that arrive while it follows, in pieces of lines; in W&B, TensorBoard and trackio."""
    tracking = {"trackers": ["wandb", "tensorboard", "trackio"], "wandb": {**FORM, "name": None}}
    (tmp_path / "tracking.json").write_text(json.dumps({"run_id": "b", "tracking": tracking}), encoding="utf-8")
    lines = "".join(json.dumps(event) + "\n" for event in BROWSER)
    path = tmp_path / "events.jsonl"
    path.write_text(lines[:120], encoding="utf-8")
    command = [sys.executable, "-m", "nagi_worker.stages.forward", str(tmp_path)]
    process = subprocess.Popen(command, cwd=kit.REPOSITORY / "workers" / "remote")
    with path.open("a", encoding="utf-8") as file:
        file.write(lines[120:])
    assert process.wait(timeout=600) == 0
    rows = history(wandb_records(tmp_path / "trackers" / "wandb"))
    assert [(row["step"], row["loss"]) for row in rows if "loss" in row] == [(1, 2.5)]
    assert [row["eval_loss"] for row in rows if "eval_loss" in row] == [2.25]
    (database,) = (tmp_path / "trackers" / "trackio").rglob("*.db")
    with sqlite3.connect(database) as connection:
        stored = connection.execute("SELECT metrics FROM metrics").fetchall()
    texts = [text.decode() if isinstance(text, bytes) else text for (text,) in stored]
    assert any(json.loads(text).get("loss") == 2.5 for text in texts)


def test_following_waits_for_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    text = "".join(json.dumps(event) + "\n" for event in BROWSER)
    pieces = [text[at : at + 50] for at in range(0, len(text), 50)]
    path.touch()

    def arrive(_: float) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(pieces.pop(0))

    monkeypatch.setattr(forwarding.time, "sleep", arrive)
    followed = list(forwarding.follow(path))
    assert [event for event, _ in followed] == BROWSER
    # Started anew where it was: the rest, and nothing twice.
    assert list(forwarding.follow(path, followed[1][1])) == followed[2:]
    assert followed[-1][1] == len(text.encode())
