"""What this machine is and how busy it is. Asks nvidia-smi and the packages' metadata: importing torch takes seconds and
GPU memory, and the service needs neither."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from nagi_worker import __version__

_GPU_FIELDS = ("index", "name", "memory.total", "memory.used", "utilization.gpu", "compute_cap", "uuid")
_MIB = 1 << 20
# From this compute capability on a GPU has bfloat16.
_BFLOAT16_SINCE = 8.0


@dataclass(frozen=True)
class Gpu:
    """A line of nvidia-smi. Bytes; None where it does not say."""

    index: str
    name: str
    memory_bytes: int | None
    used_bytes: int | None
    utilization: float | None
    capability: float | None
    uuid: str


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None  # "[N/A]"


def _scaled(text: str, factor: int) -> int | None:
    number = _number(text)
    return None if number is None else int(number * factor)


def parse_gpus(output: str) -> list[Gpu]:
    """Of `nvidia-smi --query-gpu=... --format=csv,noheader,nounits`."""
    gpus = []
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == len(_GPU_FIELDS):
            index, name, total, used, busy, capability, uuid = cells
            share = _number(busy)
            utilization = None if share is None else min(1.0, max(0.0, share / 100))
            gpus.append(
                Gpu(index, name, _scaled(total, _MIB), _scaled(used, _MIB), utilization, _number(capability), uuid)
            )
    return gpus


def visible(gpus: list[Gpu], wanted: str | None) -> list[Gpu]:
    """Those that CUDA_VISIBLE_DEVICES leaves to this worker, by numbers or UUIDs; all of them where it is not set."""
    if wanted is None:
        return gpus
    named = [name.strip() for name in wanted.split(",") if name.strip()]
    return [gpu for gpu in gpus if any(name == gpu.index or gpu.uuid.startswith(name) for name in named)]


def torch_has_cuda() -> bool:
    """By the name of the installed build; a CPU build cannot use the GPUs that nvidia-smi shows."""
    version = package_version("torch")
    return version != "" and not version.endswith("+cpu")


async def read_gpus() -> list[Gpu]:
    """Those this worker may use; none without nvidia-smi."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    process = await asyncio.create_subprocess_exec(
        program,
        f"--query-gpu={','.join(_GPU_FIELDS)}",
        "--format=csv,noheader,nounits",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        return []
    return visible(parse_gpus(output.decode("utf-8", "replace")), os.environ.get("CUDA_VISIBLE_DEVICES"))


def package_version(name: str) -> str:
    """Empty where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _installed(names: dict[str, str]) -> list[str]:
    return [name for name, module in names.items() if importlib.util.find_spec(module) is not None]


def launchers() -> list[str]:
    return ["local", *_installed({"accelerate": "accelerate", "ray": "ray"})]


def trackers() -> list[str]:
    return _installed({"wandb": "wandb", "tensorboard": "tensorboard", "trackio": "trackio"})


def precisions(gpus: list[Gpu]) -> list[str]:
    """What every GPU here trains in; the CPU has no float16 matmul worth the name."""
    if not gpus:
        return ["float32", "bfloat16"]
    known = [gpu.capability for gpu in gpus if gpu.capability is not None]
    has_bfloat16 = len(known) == len(gpus) and min(known) >= _BFLOAT16_SINCE
    return ["float32", "float16", *(["bfloat16"] if has_bfloat16 else [])]


def cpu_name() -> str:
    cores = psutil.cpu_count() or 1
    return f"{platform.processor() or platform.machine()} × {cores}"


def devices_of(gpus: list[Gpu]) -> list[dict[str, Any]]:
    """GPUs; where there are none, the CPU with the machine's memory."""
    if gpus:
        return [{"name": gpu.name, "memory_bytes": gpu.memory_bytes} for gpu in gpus]
    return [{"name": cpu_name(), "memory_bytes": psutil.virtual_memory().total}]


def describe(worker_id: str, name: str | None, gpus: list[Gpu], data: Path, max_upload: int) -> dict[str, Any]:
    """The `worker` of a welcome. @param name what people call it; None: the machine's own name"""
    has_bitsandbytes = importlib.util.find_spec("bitsandbytes") is not None
    return {
        "worker_id": worker_id,
        "name": name or socket.gethostname() or "worker",
        "version": __version__,
        "python": platform.python_version(),
        **{package: package_version(package) for package in ("torch", "transformers", "peft", "trl")},
        "devices": devices_of(gpus),
        "precision": precisions(gpus),
        "quantization": ["8bit", "4bit"] if gpus and has_bitsandbytes else [],
        "data_free_bytes": shutil.disk_usage(data).free,
        "max_upload_bytes": max_upload,
        "launchers": launchers(),
        "trackers": trackers(),
    }


def _device_use(gpus: list[Gpu], memory_used: int, memory_total: int, cpu: float) -> list[dict[str, Any]]:
    if not gpus:
        return [
            {
                "name": cpu_name(),
                "memory_bytes": memory_total,
                "memory_used_bytes": memory_used,
                "utilization": cpu,
            }
        ]
    return [
        {
            "name": gpu.name,
            "memory_bytes": gpu.memory_bytes,
            "memory_used_bytes": gpu.used_bytes,
            "utilization": gpu.utilization,
        }
        for gpu in gpus
    ]


def usage(gpus: list[Gpu], data: Path) -> dict[str, Any]:
    """devices, memory, disk and cpu of a status."""
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(data)
    cpu = min(1.0, psutil.cpu_percent(None) / 100)
    return {
        "devices": _device_use(gpus, memory.total - memory.available, memory.total, cpu),
        "memory": {"total_bytes": memory.total, "used_bytes": memory.total - memory.available},
        "disk": {"total_bytes": disk.total, "free_bytes": disk.free},
        "cpu": cpu,
    }
