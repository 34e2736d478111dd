"""A browser run's events go to the worker's trackers, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worker_kit import WorkerError, asynchronous, open_studio, open_worker

from nagi_worker import forwards, jsontext

TRACKING = {"trackers": ["tensorboard"], "wandb": None}


def events(first: int, last: int) -> list[dict[str, Any]]:
    base = {"run_id": "browser-1", "time": 1000}
    return [
        {**base, "type": "log", "seq": seq, "step": seq + 1, "metrics": {"loss": 1 / (seq + 1)}}
        for seq in range(first, last)
    ]


def end(seq: int) -> dict[str, Any]:
    return {"run_id": "browser-1", "time": 1000, "type": "state", "seq": seq, "state": "finished", "error": None}


def handed_on(data: Path) -> list[int]:
    lines = (data / "forwards" / "browser-1" / "events.jsonl").read_bytes().splitlines()
    return [jsontext.parse(line)["seq"] for line in lines]


@asynchronous
async def test_events_are_handed_on_once_and_arrive(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:

        async def forward(batch: list[dict[str, Any]]) -> int:
            answer = await studio.request("forward", run_id="browser-1", events=batch, tracking=TRACKING)
            return int(answer["next_seq"])

        assert await forward(events(0, 3)) == 3
        # After a cut connection the studio sends what it is not sure of again.
        assert await forward(events(1, 5)) == 5
        assert await forward([]) == 5
        with pytest.raises(WorkerError) as gap:
            await forward(events(6, 8))
        assert gap.value.code == "worker.bad_message"
        assert handed_on(tmp_path) == [0, 1, 2, 3, 4]
        assert await forward([*events(5, 6), end(6)]) == 7
        process = worker.forwards.process("browser-1")
        assert process is not None
        assert await forwards.ended(process) == 0
    found = [path.parent for path in (tmp_path / "forwards").rglob("events.out.tfevents.*")]
    assert len(found) == 1
    accumulator = EventAccumulator(str(found[0]))
    accumulator.Reload()
    assert [scalar.step for scalar in accumulator.Scalars("loss")] == [1, 2, 3, 4, 5, 6]


@asynchronous
async def test_what_was_written_but_not_counted_is_not_written_twice(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        command = {"run_id": "browser-1", "tracking": TRACKING}
        await studio.request("forward", events=events(0, 2), **command)
        # As if the worker had been killed between the file and the count.
        first = (tmp_path / "forwards" / "browser-1" / "events.jsonl").read_bytes().index(b"\n") + 1
        await worker.store.set_forwarded("browser-1", 1, first)
        await studio.request("forward", events=events(1, 4), **command)
        assert handed_on(tmp_path) == [0, 1, 2, 3]


@asynchronous
async def test_an_unknown_tracker_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nagi_worker.machine.trackers", lambda: ["tensorboard"])
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        with pytest.raises(WorkerError) as caught:
            tracking = {"trackers": ["trackio"], "wandb": None}
            await studio.request("forward", run_id="browser-1", events=[], tracking=tracking)
        assert (caught.value.code, caught.value.details["allowed"]) == ("config.invalid", "tensorboard")
