"""A run's record (`$defs/run_record`) and how its events change it, as workers/train/session.ts does in the browser."""

from __future__ import annotations

from typing import Any

from nagi_worker import __version__

Record = dict[str, Any]
Event = dict[str, Any]

# States in which a run has, or waits for, devices.
WORKING = ("queued", "preparing", "running")
RESUMABLE = ("paused", "failed")


def new_record(command: dict[str, Any], created: int) -> Record:
    """The record of a `start` command. @param created milliseconds since the Unix epoch"""
    return {
        "run_id": command["run_id"],
        "config": command["config"],
        "stage": command["stage"],
        "pipeline_id": None,
        "inputs": command["inputs"],
        "artefact": None,
        "state": "queued",
        "error": None,
        "created": created,
        "seconds": 0,
        "step": 0,
        "total_steps": 0,
        "checkpoint_step": None,
        "adapter": "",
        "version": __version__,
        "metrics": {},
    }


def stage_of(config: dict[str, Any], stage_id: str) -> dict[str, Any] | None:
    """The settings of a stage by its id."""
    return next((stage for stage in config["stages"] if stage["id"] == stage_id), None)


def follow(record: Record, event: Event) -> Record:
    """The record after an event."""
    kind = event["type"]
    if kind == "state":
        return {**record, "state": event["state"], "error": event["error"]}
    if kind == "prepared":
        return {**record, "adapter": event["adapter"], "total_steps": event["total_steps"]}
    if kind in ("log", "eval"):
        return {**record, "step": event["step"]}
    if kind == "resumed":
        return {**record, "step": event["step"], "metrics": {}}
    if kind == "checkpoint":
        return {**record, "checkpoint_step": event["step"]}
    if kind == "result":
        return {**record, "step": event["step"], "metrics": event["metrics"]}
    return record
