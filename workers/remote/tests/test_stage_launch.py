"""Several ranks: two processes with gloo, a Ray cluster of two nodes, and the configurations for GPUs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stage_kit as kit

from nagi_worker.errors import NagiError
from nagi_worker.stages.job import FAILED, FINISHED, PAUSED
from nagi_worker.stages.launchers import accelerate_config, inner_command, launch_command, refuse_on_cpu, stage_command
from nagi_worker.stages.ppo import refuse_sharded
from nagi_worker.stages.ray_launcher import local_ranks
from nagi_worker.stages.run import check_world

TWO = {"num_processes": 2, "launcher": "accelerate"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.write_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.write_classifier(tmp_path_factory.mktemp("judge"), ["reward"])


def launched(folder: Path) -> subprocess.CompletedProcess[str]:
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    return kit.run_command(launch_command(folder, job))


def close(one: dict[int, dict[str, Any]], other: dict[int, dict[str, Any]], keys: list[str]) -> None:
    assert one.keys() == other.keys()
    for step, metrics in one.items():
        for key in keys:
            assert metrics[key] == pytest.approx(other[step][key], rel=2e-4, abs=1e-6), (step, key)


@pytest.mark.parametrize("name", ["sft", "reward"])
def test_two_processes_with_gloo_are_one_with_twice_the_batch(name: str, base: Path, tmp_path: Path) -> None:
    """The world is really two: the same curve needs both halves of every step."""
    stage = {"sft": {**kit.SFT, "packing": False}, "reward": kit.REWARD}[name]
    batch = stage["per_device_train_batch_size"]
    inputs = {"model": kit.model_input(base)}
    # As many rows as fill every step of both runs.
    rows = {"train": 4 * batch, "validation": 7}
    two = kit.write_job(tmp_path / "two", stage, inputs, launch=TWO, rows=rows)
    one = kit.write_job(tmp_path / "one", {**stage, "per_device_train_batch_size": 2 * batch}, inputs, rows=rows)
    done = launched(two)
    assert done.returncode == FINISHED, done.stderr[-3000:]
    assert kit.run_here(one) == FINISHED
    assert kit.events(two, "prepared")[0]["adapter"] == "2 x CPU (PyTorch)"
    close(kit.metrics_by_step(two), kit.metrics_by_step(one), ["loss", "grad_norm", "learning_rate", "num_tokens"])
    close(kit.metrics_by_step(two, "eval"), kit.metrics_by_step(one, "eval"), ["eval_loss"])


def test_ppo_on_two_processes_is_ppo_on_one_and_pauses_on_both(base: Path, judge: Path, tmp_path: Path) -> None:
    inputs = {"model": kit.model_input(base), "reward_model": kit.model_input(judge, "reward_model")}
    two = kit.write_job(tmp_path / "two", kit.PPO, inputs, launch={**TWO, "launcher": "local"})
    one = kit.write_job(tmp_path / "one", kit.PPO, inputs)
    # Before the first update: both ranks take rank 0's answer, and the launcher hands the code on.
    (two / "control").write_text("pause", encoding="utf-8")
    done = launched(two)
    assert done.returncode == PAUSED, done.stderr[-3000:]
    (two / "control").write_text("run", encoding="utf-8")
    done = launched(two)
    assert done.returncode == FINISHED, done.stderr[-3000:]
    assert kit.run_here(one) == FINISHED
    keys = [
        "objective/kl",
        "objective/scores",
        "loss/policy_avg",
        "loss/value_avg",
        "grad_norm",
        "val/ratio",
        "num_tokens",
    ]
    close(kit.metrics_by_step(two), kit.metrics_by_step(one), keys)


def test_an_error_of_a_rank_is_the_stages_and_a_killed_rank_is_seen(base: Path, tmp_path: Path) -> None:
    folder = kit.write_job(
        tmp_path / "run", {**kit.SFT, "template": "nothing"}, {"model": kit.model_input(base)}, launch=TWO
    )
    assert launched(folder).returncode == FAILED
    assert json.loads((folder / "error.json").read_text(encoding="utf-8"))["code"] == "config.invalid"
    # Ranks that end without a word: the launcher's process ends as they did.
    code = "from nagi_worker.stages.launchers import stage_code; from pathlib import Path; import sys; stage_code(Path(sys.argv[1]), 1)"
    silent = kit.run_command([sys.executable, "-c", code, str(tmp_path)])
    assert silent.returncode == -signal.SIGKILL


def test_a_world_of_another_size_is_an_error(base: Path, tmp_path: Path) -> None:
    """`accelerate launch --cpu --num_processes 2` made two worlds of one here."""
    from nagi_worker.stages.job import Job

    folder = kit.write_job(tmp_path / "run", kit.SFT, {"model": kit.model_input(base)}, launch=TWO)
    with pytest.raises(NagiError, match="2 processes were asked for, but 1"):
        check_world(Job.read(folder), 1)


def test_commands_and_configurations_of_launches(tmp_path: Path) -> None:
    alone = launch_command(tmp_path, {"launch": kit.LAUNCH})
    assert alone[1:] == ["-m", "nagi_worker.stages", str(tmp_path)]
    argv, environment = stage_command(tmp_path, {**kit.LAUNCH, **TWO})
    assert argv[1:] == ["-m", "nagi_worker.stages.launchers", str(tmp_path)]
    assert environment["NAGI_RUN_DIR"] == str(tmp_path)
    on_cpu = inner_command(tmp_path, {**kit.LAUNCH, **TWO}, cuda=False)
    assert "torch.distributed.run" in on_cpu and "--nproc-per-node=2" in on_cpu
    on_gpu = inner_command(tmp_path, {**kit.LAUNCH, **TWO, "precision": "bfloat16"}, cuda=True)
    written = json.loads(Path(on_gpu[on_gpu.index("--config_file") + 1]).read_text(encoding="utf-8"))
    assert written["distributed_type"] == "MULTI_GPU" and written["mixed_precision"] == "bf16"
    with pytest.raises(NagiError, match="needs GPUs"):
        refuse_on_cpu({**kit.LAUNCH, "strategy": "fsdp"}, cuda=False)


@pytest.mark.parametrize(
    ("strategy", "kind"), [("fsdp", "FSDP"), ("zero2", "DEEPSPEED"), ("zero3", "DEEPSPEED"), ("ddp", "MULTI_GPU")]
)
def test_accelerate_reads_the_configurations(strategy: str, kind: str, tmp_path: Path) -> None:
    from accelerate.commands.config.config_args import ClusterConfig

    path = tmp_path / "accelerate.json"
    launch = {**kit.LAUNCH, "strategy": strategy, "num_processes": 4, "precision": "float16"}
    path.write_text(json.dumps(accelerate_config(launch)), encoding="utf-8")
    config = ClusterConfig.from_json_file(str(path))
    assert config.distributed_type.value == kind
    assert config.num_processes == 4 and config.mixed_precision == "fp16" and not config.use_cpu
    stage = {"zero2": 2, "zero3": 3}.get(strategy)
    assert config.deepspeed_config.get("zero_stage") == stage


def test_ppo_refuses_to_be_sharded(base: Path, tmp_path: Path) -> None:
    from nagi_worker.stages.job import Job

    folder = kit.write_job(tmp_path / "run", kit.PPO, {}, launch={"num_processes": 2, "strategy": "zero3"})
    with pytest.raises(NagiError) as caught:
        refuse_sharded(Job.read(folder))
    assert caught.value.details["path"] == "launch.strategy"


def test_ranks_are_numbered_on_each_node() -> None:
    assert local_ranks(["a", "b", "a", "a", "b"]) == [0, 0, 1, 2, 1]


#: Ray gives a node 30 seconds to appear; on a busy machine it may take several tries
TRIES = 8


def add_node(nodes: Any) -> None:
    """A node of one CPU. Raises what Ray raises where none appears."""
    for attempt in range(1, TRIES + 1):
        try:
            nodes.add_node(num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False)
            return
        except Exception as error:
            if attempt == TRIES:
                raise
            print("once more:", error)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Ray cluster of two nodes on this machine: its address."""
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    try:
        add_node(nodes)
        add_node(nodes)
        nodes.wait_for_nodes()
        yield nodes.address
    finally:
        nodes.shutdown()


def test_a_stage_on_a_ray_cluster_of_two_nodes(cluster: str, base: Path, tmp_path: Path) -> None:
    rows = {"train": 8, "validation": 4}
    inputs = {"model": kit.model_input(base)}
    launch = {"launcher": "ray", "num_processes": 2, "ray_address": cluster}
    two = kit.write_job(tmp_path / "two", kit.REWARD, inputs, launch=launch, rows=rows)
    one = kit.write_job(tmp_path / "one", {**kit.REWARD, "per_device_train_batch_size": 8}, inputs, rows=rows)
    done = launched(two)
    assert done.returncode == FINISHED, done.stdout[-2000:] + done.stderr[-3000:]
    assert "2 ranks on 2 nodes" in done.stdout
    assert kit.run_here(one) == FINISHED
    close(kit.metrics_by_step(two), kit.metrics_by_step(one), ["loss", "grad_norm", "num_tokens"])


def test_a_cluster_that_is_not_there_is_said(base: Path, tmp_path: Path) -> None:
    launch = {"launcher": "ray", "num_processes": 2, "ray_address": "127.0.0.1:1"}
    folder = kit.write_job(tmp_path / "run", kit.REWARD, {"model": kit.model_input(base)}, launch=launch)
    assert launched(folder).returncode == FAILED
    error = json.loads((folder / "error.json").read_text(encoding="utf-8"))
    assert error["code"] == "config.invalid" and error["details"]["path"] == "launch.ray_address"
