"""RUN_DIR as the service prepares it, and what a stage writes there.

job.json      in: what to run (see Job)
control       in: "run", "pause", "stop" or "checkpoint", replaced as a whole
events.jsonl  out: one event a line, without run_id and seq, which the service adds
checkpoints/step-N, output/, output.json, error.json  out: complete by rename
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import NagiError

FINISHED, FAILED, PAUSED, STOPPED = 0, 1, 10, 11

DEFAULT_LAUNCH: dict[str, Any] = {
    "launcher": "local",
    "num_processes": 1,
    "strategy": "ddp",
    "precision": "float32",
    "quantization": None,
    "gradient_checkpointing": False,
    "ray_address": None,
    "tracking": None,
    "algorithm": None,
}


def launch_of(stage: dict[str, Any], launch: dict[str, Any]) -> dict[str, Any]:
    """How a stage is launched: it recomputes activations where the launch or the stage itself says so."""
    recompute = launch["gradient_checkpointing"] or stage.get("gradient_checkpointing", False)
    return {**launch, "gradient_checkpointing": recompute}


@dataclass(frozen=True)
class Input:
    """What a slot stands for: a folder or a hub id, and for an adapter the model it was trained on."""

    path: str
    #: an artefact's kind, "local" (a folder of the worker's) or "hub" (`path` is owner/name)
    kind: str
    base: Input | None = None
    revision: str | None = None

    @classmethod
    def of(cls, json_value: dict[str, Any]) -> Input:
        base = json_value.get("base")
        return cls(json_value["path"], json_value["kind"], cls.of(base) if base else None, json_value.get("revision"))


@dataclass(frozen=True)
class Job:
    folder: Path
    run_id: str
    seed: int
    #: StageConfig and RunConfig of src/shared/protocol, validated by the service
    stage: dict[str, Any]
    config: dict[str, Any]
    inputs: dict[str, Input]
    data: dict[str, Path | None]
    launch: dict[str, Any] = field(default_factory=lambda: dict(DEFAULT_LAUNCH))
    name: str = ""

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Reads job.json. Raises NagiError internal where it is not one."""
        try:
            value = json.loads((folder / "job.json").read_text(encoding="utf-8"))
            data = {key: None if path is None else Path(path) for key, path in value["data"].items()}
            return cls(
                folder=folder,
                run_id=value["run_id"],
                seed=value["seed"],
                stage=value["stage"],
                config=value["config"],
                inputs={slot: Input.of(one) for slot, one in value["inputs"].items()},
                data=data,
                launch=launch_of(value["stage"], {**DEFAULT_LAUNCH, **value["launch"]}),
                name=value.get("name") or value["stage"]["id"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NagiError(
                "internal", f"{folder}/job.json is not a job: {error!r}", {"message": repr(error)}
            ) from error

    def input(self, slot: str) -> Input:
        """Raises NagiError internal where nothing was given for a slot."""
        if slot not in self.inputs:
            raise NagiError("internal", f"nothing was given for {self.stage['id']}.{slot}", {"message": slot})
        return self.inputs[slot]

    def file(self, which: str) -> Path:
        """A data file. Raises data.empty where there is none."""
        path = self.data.get(which)
        if path is None:
            message = f"There are no {which} rows. Name a file, or evaluate on validation."
            raise NagiError("data.empty", message, {"file": which})
        return path

    def data_name(self, which: str) -> str:
        """What a message calls a data file: the studio's reference (here it is named by its hash)."""
        if which == "pairs":
            return str(self.stage.get("pairs") or "pairs")
        named = self.stage.get("data") or self.config["data"]
        return str(named.get(which) or which)

    @property
    def model_name(self) -> str:
        """How an adapter names the model below it, as the studio writes it."""
        slot = self.stage.get("model", "base")
        return self.config["model"]["model_name_or_path"] if slot == "base" else slot

    @property
    def drawn(self) -> bool:
        """Whether the stage starts from the run's base with fresh weights."""
        return self.config["model"]["init"] == "random" and self.stage.get("model") == "base"


def write_json(path: Path, value: object) -> None:
    """Replaces a file as a whole. What is not finite is refused."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    partial.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    os.replace(partial, path)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `path` when all is written."""
    partial = path.with_name(f"{path.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)
