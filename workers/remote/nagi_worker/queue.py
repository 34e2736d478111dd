"""Who works where: a run gets a set of GPUs for itself; on a machine without any, one run works at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nagi_worker.errors import NagiError

CPU = "cpu"


class DevicePool:
    """Hands out devices by name: GPU numbers, "cpu", or a Ray cluster by its address."""

    def __init__(self, gpus: Sequence[str]) -> None:
        """@param gpus numbers as in CUDA_VISIBLE_DEVICES; none: one run at a time on the CPU"""
        self._gpus = list(gpus)
        self._busy: set[str] = set()

    def check(self, launch: dict[str, Any]) -> None:
        """Raises config.invalid where this machine never has enough."""
        wanted = launch["num_processes"]
        if self._on_cluster(launch) or not self._gpus or wanted <= len(self._gpus):
            return
        problem = f"{wanted} processes, but this worker has {len(self._gpus)} GPUs"
        details = {
            "file": "launch",
            "path": "num_processes",
            "problem": problem,
            "allowed": f"1 to {len(self._gpus)}",
        }
        raise NagiError("config.invalid", f"launch: num_processes: {problem}.", details)

    def take(self, launch: dict[str, Any]) -> list[str] | None:
        """A set of devices, or None while too few are free."""
        chosen = self._choose(launch)
        if chosen is not None:
            self._busy.update(chosen)
        return chosen

    def _choose(self, launch: dict[str, Any]) -> list[str] | None:
        if self._on_cluster(launch):
            names, wanted = [f"ray:{launch['ray_address']}"], 1
        elif self._gpus:
            names, wanted = self._gpus, launch["num_processes"]
        else:
            names, wanted = [CPU], 1
        free = [name for name in names if name not in self._busy]
        return free[:wanted] if len(free) >= wanted else None

    def claim(self, devices: Sequence[str]) -> None:
        """For a stage that was found running."""
        self._busy.update(devices)

    def release(self, devices: Sequence[str]) -> None:
        self._busy.difference_update(devices)

    def gpus_of(self, devices: Sequence[str]) -> list[str]:
        return [device for device in devices if device in self._gpus]

    @staticmethod
    def _on_cluster(launch: dict[str, Any]) -> bool:
        return launch["launcher"] == "ray" and launch["ray_address"] is not None
