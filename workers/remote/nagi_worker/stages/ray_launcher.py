"""A stage on a Ray cluster: one actor a rank, spread over the nodes, rank 0 beside this process.

The run's folder must be the same path on every node (storage that the cluster shares): rank 0 writes there, all read there.
"""

from __future__ import annotations

import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from ..errors import NagiError
from .launchers import LAUNCHED

PACKAGE = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


class Rank:
    """Runs the stage in a process of its own, which Ray ends with the job."""

    def address(self) -> tuple[str, int]:
        """Where this rank can be found, and a port nobody has there."""
        return ray.util.get_node_ip_address(), free_port()

    def node(self) -> str:
        return str(ray.get_runtime_context().get_node_id())

    def sees(self, run_dir: str) -> bool:
        return (Path(run_dir) / "job.json").is_file()

    def run(self, run_dir: str, environment: dict[str, str]) -> int:
        """Returns the exit code of the rank."""
        os.environ.update(environment)
        from .run import main  # torch reads the environment when it is imported

        return main(Path(run_dir))


def _environment(rank: int, world: int, local_rank: int, address: tuple[str, int]) -> dict[str, str]:
    return {
        LAUNCHED: "1",
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_RANK": str(local_rank),
        "MASTER_ADDR": address[0],
        "MASTER_PORT": str(address[1]),
    }


def _actors(world: int, gpus: int) -> list[Any]:
    """One actor a rank: the first on this node, the others as spread out as the cluster allows."""
    options = {"num_cpus": 1, "num_gpus": gpus}
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Rank)
    first = actor.options(**options, scheduling_strategy=here).remote()
    ray.get(first.node.remote())
    if world == 1:
        return [first]
    bundle = {"CPU": 1, **({"GPU": gpus} if gpus else {})}
    group = placement_group([bundle] * (world - 1), strategy="SPREAD")
    if not group.wait(timeout_seconds=120):
        problem = f"asks for {world}, but the cluster has no room for them: {ray.available_resources()}"
        details = {
            "file": "launch",
            "path": "launch.num_processes",
            "problem": problem,
            "allowed": "what the cluster has free",
        }
        raise NagiError("config.invalid", f"launch.num_processes {problem}.", details)
    others = [
        actor.options(
            **options,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index),
        ).remote()
        for index in range(world - 1)
    ]
    return [first, *others]


def local_ranks(nodes: list[str]) -> list[int]:
    """The number of each rank on its own node."""
    return [nodes[:rank].count(node) for rank, node in enumerate(nodes)]


def connect(address: str | None) -> None:
    """Raises config.invalid where no cluster answers."""
    refuse_silence(address)
    try:
        paths = {"PYTHONPATH": os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])}
        ray.init(address=address or None, runtime_env={"env_vars": paths}, log_to_driver=True)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise no_cluster(address, str(error)) from error


def refuse_silence(address: str | None) -> None:
    """Ray itself would go on asking a HOST:PORT for a quarter of an hour. Raises config.invalid."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit() or "://" in host:
        return  # "auto", or none: Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=20).close()
    except OSError as error:
        raise no_cluster(address, str(error)) from error


def no_cluster(address: str | None, why: str) -> NagiError:
    problem = f"is {address}, where no Ray cluster answers: {why}"
    details = {"file": "launch", "path": "launch.ray_address", "problem": problem, "allowed": "HOST:6379, auto"}
    return NagiError("config.invalid", f"launch.ray_address {problem}.", details)


def run_on_ray(run_dir: Path, launch: dict[str, Any]) -> int:
    """Runs the ranks; 0 when all ended well, else the first other code. A rank whose process died is 1 without an error."""
    connect(launch["ray_address"])
    world = launch["num_processes"]
    try:
        gpus = 1 if ray.cluster_resources().get("GPU", 0) >= world else 0
        actors = _actors(world, gpus)
        nodes = ray.get([actor.node.remote() for actor in actors])
        print(f"{world} ranks on {len(set(nodes))} nodes", flush=True)
        seen = ray.get([actor.sees.remote(str(run_dir)) for actor in actors])
        if not all(seen):
            problem = f"{run_dir} is not there on {seen.count(False)} of the cluster's nodes"
            details = {
                "file": "launch",
                "path": "launch.launcher",
                "problem": problem,
                "allowed": "a data folder on shared storage",
            }
            raise NagiError(
                "config.invalid",
                f"launch.launcher: {problem}. Start the worker with --data on storage that all nodes share.",
                details,
            )
        address = ray.get(actors[0].address.remote())
        # On a node with one rank each actor sees its own GPU as the first.
        numbers = [0] * world if gpus else local_ranks(nodes)
        running = [
            actor.run.remote(str(run_dir), _environment(rank, world, numbers[rank], address))
            for rank, actor in enumerate(actors)
        ]
        while running:
            done, running = ray.wait(running)
            if code := ray.get(done[0]):
                return int(code)
        return 0
    except ray.exceptions.RayActorError:
        traceback.print_exc(file=sys.stderr)
        return 1
    finally:
        ray.shutdown()
