"""What a stage takes in: checked when it is started, laid out as job.json when its turn has come."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from nagi_worker.artefacts import ArtefactRegistry
from nagi_worker.blobs import BlobStore
from nagi_worker.errors import NagiError
from nagi_worker.records import stage_of
from nagi_worker.store import Store

HUB = "hub:"
LOCAL = "local:"
_BASE = ".base"
_ARTEFACT = re.compile(r"[0-9a-f]{64}")
_HUB_MODEL = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([A-Za-z0-9][\w./-]{0,99}))?", re.ASCII)
DATA_SLOTS = ("train", "validation", "test", "pairs")


def invalid(name: str, path: str, problem: str, allowed: str) -> NagiError:
    """config.invalid {file, path, problem, allowed}."""
    details = {"file": name, "path": path, "problem": problem, "allowed": allowed}
    return NagiError("config.invalid", f"{name}: {path}: {problem}. Allowed: {allowed}.", details)


class JobInputs:
    """Opens what `start` commands name."""

    def __init__(self, store: Store, artefacts: ArtefactRegistry, blobs: BlobStore, models: Path | None) -> None:
        """@param models the folder below which `local:` paths may lie; None: there are none"""
        self._store = store
        self._artefacts = artefacts
        self._blobs = blobs
        self._models = models.resolve() if models is not None else None

    async def check(self, command: dict[str, Any]) -> None:
        """Raises config.invalid, artefact.not_found, storage.unavailable before anything is listed."""
        name = command["config"]["name"]
        if stage_of(command["config"], command["stage"]) is None:
            ids = ", ".join(stage["id"] for stage in command["config"]["stages"])
            raise invalid(name, "stage", f'there is no stage "{command["stage"]}"', ids)
        for slot, value in command["inputs"].items():
            if _ARTEFACT.fullmatch(value):
                await self._store.artefact(value)
            else:
                self._reference(name, slot, value)
        for slot, sha256 in (command["data"] or {}).items():
            if sha256 is not None and not self._blobs.is_complete(sha256):
                message = f"The rows {slot} ({sha256}) have not arrived. Upload them, then start the stage."
                raise NagiError("storage.unavailable", message, {"message": message})

    def _reference(self, name: str, slot: str, value: str) -> dict[str, Any]:
        path = f"inputs.{slot}"
        hub = _HUB_MODEL.fullmatch(value.removeprefix(HUB)) if value.startswith(HUB) else None
        if hub is not None and ".." not in value:
            return {"path": hub[1], "kind": "hub", "revision": hub[2]}
        if not value.startswith(LOCAL):
            raise invalid(
                name, path, f'"{value}" is unknown', "an artefact's id, hub:OWNER/NAME[@REVISION], local:PATH"
            )
        if self._models is None:
            raise invalid(name, path, "local: models are switched off", "starting the worker with --models FOLDER")
        folder = (self._models / value.removeprefix(LOCAL)).resolve()
        if not folder.is_relative_to(self._models) or not folder.is_dir():
            raise invalid(name, path, f'"{value}" is no folder there', f"local: and a folder below {self._models.name}")
        return {"path": str(folder), "kind": "local"}

    async def _open(self, name: str, slot: str, value: str) -> dict[str, Any]:
        if not _ARTEFACT.fullmatch(value):
            return self._reference(name, slot, value)
        folder, kind = await self._artefacts.folder(value)
        return {"path": str(folder), "kind": kind}

    async def job(self, command: dict[str, Any]) -> dict[str, Any]:
        """The content of job.json. Artefacts become local folders; an adapter holds what it was trained on as `base`."""
        config = command["config"]
        opened = {slot: await self._open(config["name"], slot, value) for slot, value in command["inputs"].items()}
        inputs = {slot: value for slot, value in opened.items() if _owner(slot, opened) is None}
        for slot, value in opened.items():
            owner = _owner(slot, opened)
            if owner is not None:
                inputs[owner] = {**inputs[owner], "base": value}
        data = command["data"] or {}
        return {
            "run_id": command["run_id"],
            "seed": config["seed"],
            "stage": stage_of(config, command["stage"]),
            "config": config,
            "inputs": inputs,
            "data": {slot: str(self._blobs.path(data[slot])) if data.get(slot) else None for slot in DATA_SLOTS},
            "launch": command["launch"],
            "parents": command["parents"],
            "name": command["artefact_name"],
        }


def _owner(slot: str, slots: Collection[str]) -> str | None:
    """The slot whose adapter stands on what `slot` names: of "model.base" it is "model"."""
    owner = slot.removesuffix(_BASE)
    return owner if owner != slot and owner in slots else None
