"""What a worker says of its machine, and who gets which devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worker_kit import LAUNCH, WorkerError, asynchronous, open_gate, open_studio, open_worker, start

from nagi_worker import machine
from nagi_worker.errors import NagiError
from nagi_worker.queue import CPU, DevicePool

NVIDIA_SMI = """0, Tesla T4, 15360, 3, 0, 7.5, GPU-aa11
1, Tesla T4, 15360, 14000, 97, 7.5, GPU-bb22
"""


def launch(processes: int, launcher: str = "accelerate", address: str | None = None) -> dict[str, Any]:
    return {"launcher": launcher, "num_processes": processes, "ray_address": address}


def test_gpus_as_nvidia_smi_lists_them() -> None:
    first, second = machine.parse_gpus(NVIDIA_SMI)
    assert (first.index, first.name, first.memory_bytes, first.used_bytes) == ("0", "Tesla T4", 15360 << 20, 3 << 20)
    assert second.utilization == 0.97
    # A T4 has no bfloat16.
    assert machine.precisions([first, second]) == ["float32", "float16"]
    assert machine.precisions(machine.parse_gpus("0, H100, 81559, 0, 0, 9.0, GPU-c")) == [
        "float32",
        "float16",
        "bfloat16",
    ]
    assert machine.precisions([]) == ["float32", "bfloat16"]


def test_gpus_that_are_hidden_from_the_worker_are_left_alone() -> None:
    gpus = machine.parse_gpus(NVIDIA_SMI)
    for wanted, left in ((None, ["0", "1"]), ("1", ["1"]), ("GPU-aa", ["0"]), ("", []), ("0, 1", ["0", "1"])):
        assert [gpu.index for gpu in machine.visible(gpus, wanted)] == left


def test_what_nvidia_smi_does_not_know_is_null() -> None:
    (gpu,) = machine.parse_gpus(
        "0, Graphics Device, [N/A], [N/A], [Not Supported], [N/A], GPU-d\nNo devices were found\n"
    )
    assert (gpu.memory_bytes, gpu.used_bytes, gpu.utilization, gpu.capability) == (None, None, None, None)
    assert machine.precisions([gpu]) == ["float32", "float16"]


def test_runs_get_gpus_of_their_own() -> None:
    pool = DevicePool(["0", "1", "2"])
    assert pool.take(launch(2)) == ["0", "1"]
    assert pool.take(launch(2)) is None
    assert pool.take(launch(1)) == ["2"]
    pool.release(["0", "1"])
    assert pool.take(launch(2)) == ["0", "1"]
    assert pool.gpus_of(["0", "1"]) == ["0", "1"]


def test_more_processes_than_gpus_are_refused_at_once() -> None:
    pool = DevicePool(["0", "1"])
    with pytest.raises(NagiError) as caught:
        pool.check(launch(3))
    assert (caught.value.code, caught.value.details["path"]) == ("config.invalid", "num_processes")
    pool.check(launch(8, "ray", "auto"))


def test_without_gpus_one_run_works_at_a_time() -> None:
    pool = DevicePool([])
    pool.check(launch(4))
    assert pool.take(launch(4)) == [CPU]
    assert pool.take(launch(1)) is None
    assert pool.gpus_of([CPU]) == []
    # A cluster elsewhere takes nothing of this machine, and one job at a time.
    assert pool.take(launch(8, "ray", "ray://head:10001")) == ["ray:ray://head:10001"]
    assert pool.take(launch(8, "ray", "ray://head:10001")) is None


def test_devices_of_a_stage_that_was_found_running_are_taken() -> None:
    pool = DevicePool(["0", "1"])
    pool.claim(["1"])
    assert pool.take(launch(1)) == ["0"]
    assert pool.take(launch(1)) is None


@asynchronous
async def test_runs_work_side_by_side_on_gpus_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gpus() -> list[machine.Gpu]:
        return machine.parse_gpus(NVIDIA_SMI)

    monkeypatch.setattr(machine, "read_gpus", gpus)
    monkeypatch.setattr(machine, "torch_has_cuda", lambda: True)
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        assert [device["name"] for device in studio.welcome["worker"]["devices"]] == ["Tesla T4", "Tesla T4"]
        both = {**LAUNCH, "launcher": "accelerate", "num_processes": 2}
        for run_id, chosen in (("a", LAUNCH), ("b", LAUNCH), ("both", both), ("d", LAUNCH)):
            await start(studio, run_id, "gated", steps=2, launch=chosen)
        await studio.until_state("a", "running")
        await studio.until_state("b", "running")
        status = await studio.request("status")
        assert status["running"] == [{"run_id": "a", "devices": ["0"]}, {"run_id": "b", "devices": ["1"]}]
        # "d" would fit sooner, but nobody is overtaken: the large run gets its turn.
        assert status["queue"] == ["both", "d"]
        assert [device["memory_used_bytes"] for device in status["devices"]] == [3 << 20, 14000 << 20]
        open_gate(tmp_path, "a", 2)
        await studio.until_state("a", "finished")
        assert (await studio.request("status"))["queue"] == ["both", "d"]
        for run_id in ("b", "both", "d"):
            open_gate(tmp_path, run_id, 2)
        await studio.until_state("d", "finished")
        for run_id, used in (("a", "0"), ("b", "1"), ("both", "0,1"), ("d", "0")):
            assert f"GPUs: {used}\n" in (await studio.request("logs", run_id=run_id, offset=0))["text"]
        three = {**both, "num_processes": 3}
        with pytest.raises(WorkerError) as caught:
            await start(studio, "too-many", launch=three)
        assert caught.value.code == "config.invalid"


@asynchronous
async def test_an_answer_too_large_for_a_frame_is_said(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await start(studio, "run-1", steps=2)
        await studio.until_state("run-1", "finished")
        (artefact,) = await studio.request("list_artefacts")
        for number in range(4000):
            await worker.store.add_artefact({**artefact, "id": f"{number:064x}", "name": "長" * 200})
        with pytest.raises(WorkerError) as caught:
            await studio.request("list_artefacts")
        assert caught.value.code == "worker.too_large"
        assert len(await studio.request("list_runs")) == 1
