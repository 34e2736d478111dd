"""The worker as it is installed, with its real stages: SFT killed in the middle and merged, started over the wire."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from stage_kit import LAUNCH, MERGE, REVIEWS, SFT, write_model
from worker_kit import TESTS, Studio, assert_gapless, asynchronous, open_studio

from nagi_worker import jsontext
from nagi_worker.stage_process import RUN_DIR_VARIABLE

STEPS = 100
ROWS = {"train": 40, "validation": 4}


@asynccontextmanager
async def command_line(data: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """`nagi-worker serve`: its process, address and token."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nagi_worker.cli", "serve", "--data", str(data), "--port", "0"),
        cwd=TESTS.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().split()[-1]
        token = (await process.stdout.readline()).decode().split()[-1]
        yield process, url, token
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def put_model(studio: Studio, folder: Path) -> str:
    """Uploads a folder as an artefact; its id."""
    files = []
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        files.append({"path": file.name, "bytes": len(content), "sha256": await studio.upload(content)})
    record = {
        "kind": "model",
        "name": "tiny",
        "created": 1,
        "files": files,
        "parents": [],
        "run_id": "imported",
        "stage": None,
        "seed": 0,
    }
    record = {"id": jsontext.artefact_id(record), **record}
    assert await studio.request("put_artefact", record=record) == {"missing": []}
    return str(record["id"])


async def put_rows(studio: Studio) -> dict[str, Any]:
    data: dict[str, Any] = {"test": None, "pairs": None}
    for split, count in ROWS.items():
        lines = (REVIEWS / f"{split}.jsonl").read_bytes().splitlines(keepends=True)[:count]
        data[split] = await studio.upload(b"".join(lines))
    return data


def command(run_id: str, stage: str, inputs: dict[str, str], data: dict[str, Any] | None) -> dict[str, Any]:
    sft = {**SFT, "packing": False, "max_steps": STEPS, "save_steps": 5, "eval_steps": STEPS}
    config = {
        "name": "real",
        "seed": 11,
        "model": {"model_name_or_path": "imported:tiny", "init": "pretrained"},
        "data": {"train": "imported:rows", "validation": "imported:rows", "test": None},
        "stages": [sft, MERGE],
    }
    parents = [{"slot": slot, "id": value} for slot, value in inputs.items()]
    return {
        "run_id": run_id,
        "config": config,
        "stage": stage,
        "inputs": inputs,
        "data": data,
        "launch": LAUNCH,
        "parents": parents,
        "artefact_name": f"real/{stage}",
    }


async def finish(studio: Studio, run_id: str) -> dict[str, Any]:
    """Waits for the run's end; its artefact."""
    await studio.until_state(run_id, "finished", "failed")
    record = next(record for record in await studio.request("list_runs") if record["run_id"] == run_id)
    assert record["state"] == "finished", record["error"]
    assert_gapless(studio.events[run_id])
    return await studio.request("get_artefact", id=record["artefact"])


def kill_stage(folder: Path) -> None:
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_DIR_VARIABLE) == str(folder):
                process.kill()
                process.wait()
        except psutil.Error:
            continue


@asynchronous
async def test_sft_killed_in_the_middle_goes_on_and_is_merged(tmp_path: Path) -> None:
    data_folder = tmp_path / "data"
    async with command_line(data_folder) as (process, url, token), open_studio(url, token) as studio:
        model = await put_model(studio, write_model(tmp_path / "model"))
        rows = await put_rows(studio)
        await studio.request("start", **command("cut", "sft", {"model": model}, rows))
        await studio.request("subscribe", run_id="cut", since_seq=0)
        await studio.until(lambda: any(event["type"] == "checkpoint" for event in studio.events.get("cut", [])))
        process.kill()
        await process.wait()
        kill_stage(data_folder / "runs" / "cut")
        seen = list(studio.events["cut"])
    assert not any(event["type"] == "result" for event in seen)

    async with command_line(data_folder) as (_, url, token), open_studio(url, token) as studio:
        await studio.request("subscribe", run_id="cut", since_seq=0)
        cut = await finish(studio, "cut")
        assert studio.events["cut"][: len(seen)] == seen
        resumed = [event["step"] for event in studio.events["cut"] if event["type"] == "resumed"]
        assert len(resumed) == 1
        assert resumed[0] >= 5

        inputs = {"adapter": cut["id"], "adapter.base": model}
        await studio.request("start", **command("merge", "merge", inputs, rows))
        await studio.request("subscribe", run_id="merge", since_seq=0)
        merged = await finish(studio, "merge")
        assert merged["kind"] == "model"
        assert {"slot": "adapter", "id": cut["id"]} in merged["parents"]
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file["path"] for file in merged["files"]}

        preflight = {"config": command("x", "sft", {}, None)["config"], "stage": "sft", "launch": LAUNCH, "model": None}
        assert (await studio.request("preflight", **preflight))["fits"] is True
