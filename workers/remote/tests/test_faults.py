"""What breaks in the middle: the service is killed, its stages as well, sockets are cut, the disk is full."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect
from worker_kit import (
    TESTS,
    Studio,
    assert_gapless,
    asynchronous,
    open_gate,
    open_studio,
    open_worker,
    start,
)

from nagi_worker import stage_process
from nagi_worker.stage_process import find

# A worker in a process of its own, with scripted stages: prints its address and token, works until it is ended.
SERVICE = """
import asyncio, sys
sys.path[:0] = [{package!r}, {tests!r}]
from pathlib import Path
from nagi_worker.background import run_worker
from nagi_worker.cli import end_with_signals
from nagi_worker.server import Address
from nagi_worker.service import Options
from worker_kit import launch_scripted

def started(running):
    end_with_signals(running)
    print(running.url, running.worker.secrets.token, flush=True)

options = Options(Path(sys.argv[1]), launch=launch_scripted)
asyncio.run(run_worker(options, Address(port=0), None, lambda _: None, started))
"""


class Service:
    """The worker as a process."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, token: str) -> None:
        self.process = process
        self.url = url
        self.token = token

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def service(data: Path) -> AsyncIterator[Service]:
    script = SERVICE.format(package=str(TESTS.parent), tests=str(TESTS))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(data), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url, token = (await process.stdout.readline()).decode().split()
        yield Service(process, url, token)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def come_back(studio: Studio, run_id: str) -> None:
    await studio.request("subscribe", run_id=run_id, since_seq=0)


def curve(studio: Studio, run_id: str) -> dict[int, Any]:
    """step -> state of the scripted weights; what was trained twice must have come out the same."""
    states: dict[int, Any] = {}
    for event in studio.events[run_id]:
        if event["type"] == "log":
            state = event["metrics"]["state"]
            assert states.setdefault(event["step"], state) == state
    return states


def uninterrupted(steps: int) -> dict[int, int]:
    states, state = {}, 0
    for step in range(1, steps + 1):
        state = (state * 31 + step) % 1009
        states[step] = state
    return states


@asynchronous
async def test_killed_service_takes_its_running_stage_over(tmp_path: Path) -> None:
    async with service(tmp_path) as first, open_studio(first.url, first.token) as studio:
        await start(studio, "run-1", "gated", steps=10)
        await start(studio, "run-2", "free", steps=2)
        open_gate(tmp_path, "run-1", 5)
        await studio.until_step("run-1", 5)
        seen = list(studio.events["run-1"])
        await first.kill()
    stage = find(tmp_path / "runs" / "run-1")
    assert stage is not None
    open_gate(tmp_path, "run-1", 7)  # nobody is there to hear of these steps
    async with service(tmp_path) as second, open_studio(second.url, second.token) as studio:
        assert second.token == first.token
        await come_back(studio, "run-1")
        await studio.until_step("run-1", 7)
        assert studio.events["run-1"][: len(seen)] == seen
        open_gate(tmp_path, "run-1", 10)
        await studio.until_state("run-1", "finished", "failed")
        assert studio.states("run-1") == ["queued", "preparing", "running", "finished"]
        assert_gapless(studio.events["run-1"])
        # Not one step was lost or taken twice.
        assert studio.steps("run-1") == list(range(1, 11))
        assert curve(studio, "run-1") == uninterrupted(10)
        await come_back(studio, "run-2")
        await studio.until_state("run-2", "finished")


@asynchronous
async def test_a_stage_that_ended_while_nobody_watched_is_concluded(tmp_path: Path) -> None:
    async with service(tmp_path) as first, open_studio(first.url, first.token) as studio:
        await start(studio, "run-1", "gated", steps=6)
        open_gate(tmp_path, "run-1", 5)
        await studio.until_step("run-1", 5)
        await first.kill()
    stage = find(tmp_path / "runs" / "run-1")
    assert stage is not None and stage.process is not None
    open_gate(tmp_path, "run-1", 6)
    await asyncio.to_thread(psutil.wait_procs, [stage.process])
    async with service(tmp_path) as second, open_studio(second.url, second.token) as studio:
        await come_back(studio, "run-1")
        await studio.until_state("run-1", "finished")
        assert_gapless(studio.events["run-1"])
        assert studio.steps("run-1") == list(range(1, 7))
        (record,) = await studio.request("list_runs")
        assert (await studio.request("get_artefact", id=record["artefact"]))["created"] == record["created"]


@pytest.mark.parametrize("reached", [3, 6])
@asynchronous
async def test_service_and_stage_killed_go_on_from_the_checkpoint(tmp_path: Path, reached: int) -> None:
    """Checkpoints are at 4 and 8: after step 3 there is none yet."""
    folder = tmp_path / "runs" / "run-1"
    async with service(tmp_path) as first, open_studio(first.url, first.token) as studio:
        await start(studio, "run-1", "gated", steps=10)
        open_gate(tmp_path, "run-1", reached)
        await studio.until_step("run-1", reached)
        seen = list(studio.events["run-1"])
        await first.kill()
    for process in psutil.process_iter():
        try:
            if process.environ().get(stage_process.RUN_DIR_VARIABLE) == str(folder):
                process.kill()
                process.wait()
        except psutil.Error:
            continue
    with (folder / "events.jsonl").open("ab") as events:
        events.write(b'{"type": "log", "st')  # cut in the middle of a line
    open_gate(tmp_path, "run-1", 10)
    async with service(tmp_path) as second, open_studio(second.url, second.token) as studio:
        await come_back(studio, "run-1")
        await studio.until_state("run-1", "finished")
        events = studio.events["run-1"]
        assert events[: len(seen)] == seen
        assert_gapless(events)
        assert [event["step"] for event in events if event["type"] == "resumed"] == [0 if reached < 4 else 4]
        assert curve(studio, "run-1") == uninterrupted(10)


@asynchronous
async def test_an_ended_worker_pauses_and_goes_on_by_itself(tmp_path: Path) -> None:
    async with service(tmp_path) as first, open_studio(first.url, first.token) as studio:
        await start(studio, "run-1", "gated", steps=10)
        open_gate(tmp_path, "run-1", 5)
        await studio.until_step("run-1", 5)
        first.process.send_signal(signal.SIGTERM)
        assert await first.process.wait() == 0
    assert find(tmp_path / "runs" / "run-1") is None
    open_gate(tmp_path, "run-1", 10)
    async with service(tmp_path) as second, open_studio(second.url, second.token) as studio:
        await come_back(studio, "run-1")
        await studio.until_state("run-1", "finished")
        paused = [event for event in studio.events["run-1"] if event.get("state") == "paused"]
        assert [event["error"]["code"] for event in paused] == ["run.interrupted"]
        assert studio.steps("run-1") == list(range(1, 11))
        assert_gapless(studio.events["run-1"])


@asynchronous
async def test_a_data_folder_has_one_worker(tmp_path: Path) -> None:
    async with service(tmp_path) as first:
        command = [sys.executable, "-m", "nagi_worker.cli", "serve", "--data", str(tmp_path), "--port", "0"]
        second = await asyncio.to_thread(
            subprocess.run, command, cwd=TESTS.parent, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "another worker" in second.stderr
        async with open_studio(first.url, first.token) as studio:
            assert await studio.request("list_runs") == []


@asynchronous
async def test_fifty_cut_sockets_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """A studio whose socket is closed at random points asks for what follows the last event it has."""
    chance = random.Random(20261124)
    steps, cuts, gate = 300, 0, 0
    events: list[dict[str, Any]] = []
    async with open_worker(tmp_path) as (worker, url):
        async with open_studio(url, worker.secrets.token) as studio:
            await start(studio, "run-1", "gated", steps=steps)
        for cuts in range(1, 51):
            gate += chance.randint(1, 5)
            open_gate(tmp_path, "run-1", gate)
            # As many as are certain to come, and as often fewer.
            last = max((event["step"] for event in events if event["type"] == "log"), default=0)
            events += await events_until_cut(url, worker.secrets.token, events, chance.randint(0, gate - last), chance)
        open_gate(tmp_path, "run-1", steps)
        async with open_studio(url, worker.secrets.token) as studio:
            await studio.request("subscribe", run_id="run-1", since_seq=len(events))
            await studio.until_state("run-1", "finished")
            events += studio.events["run-1"]
    assert cuts == 50
    assert_gapless(events)
    assert [event["step"] for event in events if event["type"] == "log"] == list(range(1, steps + 1))


async def events_until_cut(
    url: str, token: str, events: list[dict[str, Any]], wanted: int, chance: random.Random
) -> list[dict[str, Any]]:
    """What a studio gets that comes back for what follows `events` and is cut off after `wanted` of them or more."""
    async with open_studio(url, token) as studio:
        await studio.request("subscribe", run_id="run-1", since_seq=len(events))
        await studio.until(lambda: len(studio.events.get("run-1", [])) >= wanted)
        # Half of the time without a word of farewell.
        if chance.random() < 0.5:
            studio.socket.transport.abort()
    return studio.events.get("run-1", [])


@asynchronous
async def test_events_wait_for_room_on_a_full_disk(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "run-1", "gated", steps=6)
        open_gate(tmp_path, "run-1", 2)
        await studio.until_step("run-1", 2)
        # No page more than the file has: SQLite then reports what a full disk reports.
        await worker.store._transaction(lambda db: None)
        pages = await _pragma(worker, "page_count")
        await _pragma(worker, f"max_page_count = {pages}")
        filler = "x" * 200_000
        with pytest.raises(Exception, match="disk is full"):
            await worker.store.append("run-1", [{"type": "log", "step": 2, "metrics": {}, "time": 0, "filler": filler}])
        open_gate(tmp_path, "run-1", 6)
        await _pragma(worker, f"max_page_count = {1 << 30}")
        await studio.until_state("run-1", "finished")
        assert_gapless(studio.events["run-1"])
        assert studio.steps("run-1") == list(range(1, 7))


async def _pragma(worker: Any, text: str) -> int:
    store = worker.store
    loop = asyncio.get_running_loop()
    (value,) = await loop.run_in_executor(store._thread, lambda: store._db.execute(f"PRAGMA {text}").fetchone())
    return int(value)


@asynchronous
async def test_a_silent_guest_is_shown_out_and_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_worker(tmp_path) as (worker, url):
        async with connect(url, proxy=None) as silent, open_studio(url, worker.secrets.token) as studio:
            assert await studio.request("list_artefacts") == []
            assert silent.close_code is None
        monkeypatch.setattr("nagi_worker.connection.HELLO_SECONDS", 0.05)
        async with connect(url, proxy=None) as silent:
            await silent.wait_closed()
            assert silent.close_code == 4401
