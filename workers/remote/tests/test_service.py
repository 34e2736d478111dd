"""Runs over the wire: events, commands, queue, artefacts, logs, several studios at once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from safetensors.numpy import load
from worker_kit import (
    WorkerError,
    assert_gapless,
    asynchronous,
    open_gate,
    open_studio,
    open_worker,
    start,
    start_command,
)

from nagi_worker import jsontext


@asynchronous
async def test_a_run_from_start_to_artefact(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "run-1", steps=8)
        await studio.until_state("run-1", "finished", "failed")
        assert studio.states("run-1") == ["queued", "preparing", "running", "finished"]
        assert_gapless(studio.events["run-1"])
        assert studio.steps("run-1") == list(range(1, 9))

        (record,) = await studio.request("list_runs")
        assert (record["state"], record["step"], record["checkpoint_step"]) == ("finished", 8, 8)
        assert record["metrics"] == {"loss": 1 / 8}
        artefact = await studio.request("get_artefact", id=record["artefact"])
        assert await studio.request("list_artefacts") == [artefact]
        assert artefact["id"] == jsontext.artefact_id(artefact)
        assert [file["path"] for file in artefact["files"]] == ["adapter_config.json", "adapter_model.safetensors"]
        assert (artefact["created"], artefact["run_id"], artefact["kind"]) == (record["created"], "run-1", "adapter")

        weights = artefact["files"][1]
        header, content = await studio.request("read_blob", sha256=weights["sha256"], offset=0, bytes=1 << 20)
        assert header["total"] == len(content) == weights["bytes"]
        assert hashlib.sha256(content).hexdigest() == weights["sha256"]
        assert list(load(content)) == ["lora_A"]

        logs = await studio.request("logs", run_id="run-1", offset=0)
        assert "ステップ 8" in logs["text"]
        assert await studio.request("logs", run_id="run-1", offset=logs["offset"]) == {
            "text": "",
            "offset": logs["offset"],
        }


@asynchronous
async def test_start_is_idempotent(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "run-1", "gated")
        await start(studio, "run-1", "gated")
        assert len(await studio.request("list_runs")) == 1
        with pytest.raises(WorkerError) as caught:
            await start(studio, "run-1", "gated", steps=9)
        assert caught.value.code == "run.bad_command"
        open_gate(tmp_path, "run-1", 8)
        await studio.until_state("run-1", "finished")
        assert studio.states("run-1").count("queued") == 1


@asynchronous
async def test_pause_resume_checkpoint_and_stop(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "run-1", "gated", steps=20)
        open_gate(tmp_path, "run-1", 6)
        await studio.until_step("run-1", 6)
        await studio.request("checkpoint", run_id="run-1")
        await studio.until(lambda: any(e["type"] == "checkpoint" and e["step"] == 6 for e in studio.events["run-1"]))
        await studio.request("pause", run_id="run-1")
        await studio.until_state("run-1", "paused")
        await studio.request("pause", run_id="run-1")  # asked again after a cut connection: so already
        await studio.request("resume", run_id="run-1")
        open_gate(tmp_path, "run-1", 9)
        await studio.until_step("run-1", 9)
        assert any(event["type"] == "resumed" and event["step"] == 6 for event in studio.events["run-1"])
        assert studio.steps("run-1") == list(range(1, 10))
        await studio.request("stop", run_id="run-1")
        await studio.until_state("run-1", "stopped")
        await studio.request("stop", run_id="run-1")
        with pytest.raises(WorkerError) as caught:
            await studio.request("resume", run_id="run-1")
        assert caught.value.code == "run.bad_command"
        assert_gapless(studio.events["run-1"])


@asynchronous
async def test_one_run_at_a_time_in_the_order_of_start(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        for run_id in ("a", "b", "c"):
            await start(studio, run_id, "gated", steps=2)
        await studio.until_state("a", "running")
        status = await studio.request("status")
        assert status["queue"] == ["b", "c"]
        assert status["running"] == [{"run_id": "a", "devices": ["cpu"]}]
        await studio.request("pause", run_id="b")
        await studio.until_state("b", "paused")
        for run_id in ("a", "b", "c"):
            open_gate(tmp_path, run_id, 2)
        await studio.until_state("c", "finished")
        assert studio.states("b") == ["queued", "paused"]
        await studio.request("resume", run_id="b")
        await studio.until_state("b", "finished")


@asynchronous
async def test_delete_ends_a_run_and_leaves_nothing(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "run-1", "gated")
        await start(studio, "run-2", "gated", steps=2)
        await studio.until_state("run-1", "running")
        await studio.request("delete", run_id="run-1")
        assert not (tmp_path / "runs" / "run-1").exists()
        open_gate(tmp_path, "run-2", 2)
        await studio.until_state("run-2", "finished")
        await studio.request("delete", run_id="run-2")
        assert await studio.request("list_runs") == []
        kept = {file["sha256"] for record in await studio.request("list_artefacts") for file in record["files"]}
        left = {path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()}
        assert left == kept
        for command in ("pause", "resume", "stop", "checkpoint", "delete"):
            with pytest.raises(WorkerError) as caught:
                await studio.request(command, run_id="run-1")
            assert caught.value.code == "run.not_found"


@pytest.mark.parametrize(
    ("behaviour", "code", "said"),
    [
        ("killed", "run.killed", "memory"),
        ("fails", "run.diverged", "loss is NaN"),
        ("crashes", "internal", "it crashed"),
        ("bad-event", "internal", "an event that is none"),
        ("pickle", "worker.file_refused", "pytorch_model.bin"),
        ("no-output", "internal", "output.json"),
    ],
)
@asynchronous
async def test_a_stage_in_trouble_is_reported_and_the_worker_lives(
    tmp_path: Path, behaviour: str, code: str, said: str
) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "bad", behaviour, steps=6)
        await start(studio, "good", steps=2)
        await studio.until_state("good", "finished")
        (failed,) = [record for record in await studio.request("list_runs") if record["run_id"] == "bad"]
        assert failed["state"] == "failed"
        assert failed["error"]["code"] == code
        assert said in failed["error"]["message"]
        assert failed["artefact"] is None
        assert_gapless(studio.events["bad"])


@asynchronous
async def test_two_tabs_on_one_run(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url):
        token = worker.secrets.token
        async with open_studio(url, token) as first, open_studio(url, token) as second:
            await start(first, "run-1", "gated", steps=6)
            open_gate(tmp_path, "run-1", 3)
            await first.until_step("run-1", 3)
            await second.request("subscribe", run_id="run-1", since_seq=0)
            await second.request("pause", run_id="run-1")
            await first.until_state("run-1", "paused")
            await first.request("resume", run_id="run-1")
            open_gate(tmp_path, "run-1", 6)
            await first.until_state("run-1", "finished")
            await second.until_state("run-1", "finished")
            assert first.events == second.events
            assert_gapless(first.events["run-1"])


@asynchronous
async def test_a_subscription_begins_where_it_is_asked_to_and_ends(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "run-1", "gated", steps=6)
        open_gate(tmp_path, "run-1", 3)
        await studio.until_step("run-1", 3)
        await studio.request("unsubscribe", run_id="run-1")
        seen = len(studio.events["run-1"])
        open_gate(tmp_path, "run-1", 6)
        async with open_studio(url, worker.secrets.token) as other:
            answer = await other.request("subscribe", run_id="run-1", since_seq=seen)
            assert answer["last_seq"] >= seen - 1
            await other.until_state("run-1", "finished")
            assert len(studio.events["run-1"]) == seen
            assert_gapless(studio.events["run-1"] + other.events["run-1"])


@asynchronous
async def test_status_is_pushed(tmp_path: Path) -> None:
    async with open_worker(tmp_path, name="箱") as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await studio.request("subscribe_status")
        await studio.until(lambda: len(studio.statuses) > 0)
        assert studio.statuses[0]["disk"]["free_bytes"] > 0
        assert studio.welcome["worker"]["name"] == "箱"
        assert studio.welcome["worker"]["torch"] != ""


@asynchronous
async def test_what_a_start_names_must_be_there(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "tiny").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    options = {"models": models}
    async with (
        open_worker(tmp_path / "data", **options) as (worker, url),
        open_studio(url, worker.secrets.token) as studio,
    ):
        cases = {
            "0" * 64: "artefact.not_found",
            "bundled:nagi-base": "config.invalid",
            "local:../secret": "config.invalid",
            "local:/etc": "config.invalid",
            "local:missing": "config.invalid",
            "hub:../../etc": "config.invalid",
            "hub:owner": "config.invalid",
            "hub:owner/name@../x": "config.invalid",
        }
        for value, code in cases.items():
            with pytest.raises(WorkerError) as caught:
                await start(studio, "run-1", inputs={"model": value})
            assert caught.value.code == code, value
        with pytest.raises(WorkerError) as missing:
            data = {"train": "1" * 64, "validation": "1" * 64, "test": None, "pairs": None}
            command = start_command("run-1", "free", 2, data)
            await studio.request(command.pop("name"), **command)
        assert missing.value.code == "storage.unavailable"
        assert await studio.request("list_runs") == []
        await start(studio, "run-2", inputs={"model": "local:tiny", "model.base": "hub:cyberagent/open-calm-7b@main"})
        await studio.until_state("run-2", "finished")
        job = json.loads((tmp_path / "data" / "runs" / "run-2" / "job.json").read_text(encoding="utf-8"))
        assert job["inputs"] == {
            "model": {
                "path": str(models / "tiny"),
                "kind": "local",
                "base": {"path": "cyberagent/open-calm-7b", "kind": "hub", "revision": "main"},
            }
        }


@asynchronous
async def test_an_artefact_goes_up_is_used_and_goes_away(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "maker", steps=2)
        await studio.until_state("maker", "finished")
        (made,) = await studio.request("list_artefacts")
        await start(studio, "user", "gated", steps=2, inputs={"model": made["id"]})
        await studio.until_state("user", "running")
        job = json.loads((tmp_path / "runs" / "user" / "job.json").read_text(encoding="utf-8"))
        folder = Path(job["inputs"]["model"]["path"])
        assert job["inputs"]["model"]["kind"] == "adapter"
        assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
        with pytest.raises(WorkerError) as caught:
            await studio.request("delete_artefact", id=made["id"])
        assert caught.value.code == "artefact.in_use"
        await studio.request("stop", run_id="user")
        await studio.until_state("user", "stopped")
        await studio.request("delete_artefact", id=made["id"])
        assert not folder.exists()
        state = await studio.request("stat_blob", sha256=made["files"][0]["sha256"], bytes=8)
        assert state == {"bytes": 0, "complete": False}
        assert (await studio.request("put_artefact", record=made))["missing"] == [
            file["sha256"] for file in made["files"]
        ]
        with pytest.raises(WorkerError) as gone:
            await studio.request("get_artefact", id=made["id"])
        assert gone.value.code == "artefact.not_found"
