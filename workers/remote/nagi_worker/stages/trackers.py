"""Trackers: W&B, TensorBoard, trackio, each behind the same two methods. Keys stay in the worker's environment.

The settings arrive as the studio's typed form and reach `wandb.init(**settings)` as they are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from ..errors import NagiError

#: fields of the form; null: not said
WANDB_FIELDS = ("project", "name", "entity", "tags", "group", "mode")
#: of events: where figures are
FIGURES = ("log", "eval", "result")


class Tracker(Protocol):
    def event(self, event: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


def figures(event: dict[str, Any]) -> dict[str, float]:
    """The numbers of an event by metric key; what is null is left out."""
    if event["type"] not in FIGURES:
        return {}
    prefix = "result/" if event["type"] == "result" else ""
    return {f"{prefix}{key}": value for key, value in event["metrics"].items() if value is not None}


def texts_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    return event["texts"] if event["type"] == "samples" else []


def wandb_settings(form: dict[str, Any] | None, run_id: str, name: str) -> dict[str, Any]:
    """Arguments of wandb.init: every field of the form that says something, and the run's id, so that a resumed run goes on."""
    given = {key: value for key, value in (form or {}).items() if value is not None}
    unknown = sorted(set(given) - set(WANDB_FIELDS))
    if unknown:
        problem, allowed = f"holds {', '.join(unknown)}", ", ".join(WANDB_FIELDS)
        details = {"file": "launch", "path": "launch.tracking.wandb", "problem": problem, "allowed": allowed}
        raise NagiError("config.invalid", f"launch.tracking.wandb {problem}. Allowed: {allowed}.", details)
    return {"project": "nagi", "name": name, "id": run_id, "resume": "allow", **given}


class WandbTracker:
    def __init__(self, settings: dict[str, Any], config: dict[str, Any], folder: Path) -> None:
        import wandb

        # Online without a key would wait for somebody to type one.
        if settings.get("mode") in (None, "online") and not (os.environ.get("WANDB_API_KEY") or _netrc_has_wandb()):
            raise NagiError(
                "config.invalid",
                "launch.tracking.wandb: the worker has no W&B key. Set WANDB_API_KEY where the worker runs, or choose the mode offline.",
                {
                    "file": "launch",
                    "path": "launch.tracking.wandb.mode",
                    "problem": "the worker has no WANDB_API_KEY",
                    "allowed": "offline, disabled",
                },
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._wandb = wandb
        self._run = wandb.init(**settings, config=config, dir=str(folder))

    def event(self, event: dict[str, Any]) -> None:
        if metrics := figures(event):
            # Evaluations come after the step's log: a step of W&B's own may only grow, so ours is a figure like others.
            self._run.log({**metrics, "step": event["step"]})
        if texts := texts_of(event):
            columns = ["prompt", "text", "reward"]
            table = self._wandb.Table(columns=columns, data=[[text[key] for key in columns] for text in texts])
            self._run.log({"samples": table, "step": event["step"]})

    def close(self) -> None:
        self._run.finish()


def _netrc_has_wandb() -> bool:
    path = Path.home() / ".netrc"
    return path.is_file() and "api.wandb.ai" in path.read_text(encoding="utf-8")


class TensorboardTracker:
    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))
        self._writer.add_text("config", str(config))

    def event(self, event: dict[str, Any]) -> None:
        for key, value in figures(event).items():
            self._writer.add_scalar(key, value, event["step"], walltime=event["time"] / 1000)
        for index, text in enumerate(texts_of(event)):
            self._writer.add_text(f"samples/{index}", f"{text['prompt']} **|** {text['text']}", event["step"])

    def close(self) -> None:
        self._writer.close()


class TrackioTracker:
    def __init__(self, project: str, name: str, config: dict[str, Any], folder: Path) -> None:
        # Where it keeps its database; read when it is imported.
        os.environ.setdefault("TRACKIO_DIR", str(folder))
        import trackio

        self._trackio = trackio
        trackio.init(project=project, name=name, config=config, resume="allow", embed=False)

    def event(self, event: dict[str, Any]) -> None:
        if metrics := figures(event):
            self._trackio.log(metrics, step=event["step"])

    def close(self) -> None:
        self._trackio.finish()


def trackers_of(
    tracking: dict[str, Any] | None, run_id: str, name: str, config: dict[str, Any], folder: Path
) -> list[Tracker]:
    """Opens what `tracking` names. Raises config.invalid for one that is not installed or not known."""
    opened: list[Tracker] = []
    for which in (tracking or {}).get("trackers", []):
        try:
            opened.append(_open(which, tracking or {}, run_id, name, config, folder))
        except ImportError as error:
            problem = f"names {which}, which is not installed on the worker ({error.name})"
            details = {
                "file": "launch",
                "path": "launch.tracking.trackers",
                "problem": problem,
                "allowed": "pip install nagi-worker[trackers]",
            }
            raise NagiError("config.invalid", f"launch.tracking.trackers {problem}.", details) from error
    return opened


def _open(
    which: str, tracking: dict[str, Any], run_id: str, name: str, config: dict[str, Any], folder: Path
) -> Tracker:
    form = tracking.get("wandb")
    if which == "wandb":
        return WandbTracker(wandb_settings(form, run_id, name), config, folder / "wandb")
    if which == "tensorboard":
        return TensorboardTracker(config, folder / "tensorboard")
    if which == "trackio":
        return TrackioTracker((form or {}).get("project") or "nagi", name, config, folder / "trackio")
    details = {
        "file": "launch",
        "path": "launch.tracking.trackers",
        "problem": f"names {which}",
        "allowed": "wandb, tensorboard, trackio",
    }
    raise NagiError(
        "config.invalid", f"launch.tracking.trackers names {which}. Choose wandb, tensorboard or trackio.", details
    )


def open_trackers(job: Any, folder: Path) -> list[Tracker]:
    """The trackers of a stage's launch; RUN_DIR/trackers holds what they write."""
    config = {"run_id": job.run_id, "seed": job.seed, "stage": job.stage, "config": job.config, "launch": job.launch}
    return trackers_of(job.launch["tracking"], job.run_id, job.name, config, folder)
