"""
What stages take in and leave behind: the records of src/shared/protocol/artefact.ts over the blob store. An artefact is
registered when all its files have arrived; a stage gets it as a folder.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

from nagi_worker import jsontext
from nagi_worker.blobs import BlobStore, link_or_copy
from nagi_worker.errors import NagiError
from nagi_worker.records import WORKING, stage_of
from nagi_worker.security import check_content, check_file_name, refused
from nagi_worker.store import Store, StoredRun
from nagi_worker.wire import bad_message, wire_schema

Artefact = dict[str, Any]


class ArtefactRegistry:
    """Records in the store, bytes in the blob store, folders made of links below `folder`."""

    def __init__(self, folder: Path, store: Store, blobs: BlobStore) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._store = store
        self._blobs = blobs
        self._lock = asyncio.Lock()

    async def put(self, record: Artefact) -> list[str]:
        """
        Registers an uploaded artefact. Returns the hashes of the files that have not arrived; with any, nothing is
        registered. Raises worker.bad_message, worker.file_refused, worker.too_large.
        """
        check_record(record)
        async with self._lock:
            missing = [file["sha256"] for file in record["files"] if not self._blobs.is_complete(file["sha256"])]
            if not missing:
                await asyncio.to_thread(self._check_files, record)
                await self._store.add_artefact(record)
        return list(dict.fromkeys(missing))

    def _check_files(self, record: Artefact) -> None:
        for entry in record["files"]:
            path = self._blobs.path(entry["sha256"])
            size = path.stat().st_size
            if size != entry["bytes"]:
                raise refused(entry["path"], f"the record says {entry['bytes']} bytes, it has {size}")
            with path.open("rb") as file:
                check_content(entry["path"], file, size)

    async def make(self, output: Path, facts: Artefact) -> Artefact:
        """
        Registers a stage's output. @param facts everything of the record but id and files
        Raises worker.file_refused for a file that no artefact may have.
        """
        async with self._lock:
            files = await asyncio.to_thread(self._describe, output)
            if not files:
                raise NagiError("internal", f"{output} is empty", {"message": f"{output} is empty"})
            manifest = {**facts, "files": files}
            record = {"id": jsontext.artefact_id(manifest), **manifest}
            problem = wire_schema().problem("artefact_record", record)
            if problem is not None:
                message = f"the stage's output is no artefact: {problem}"
                raise NagiError("internal", message, {"message": message})
            await self._store.add_artefact(record)
        return record

    def _describe(self, output: Path) -> list[Artefact]:
        found = {file.relative_to(output).as_posix(): file for file in output.rglob("*") if file.is_file()}
        listed: list[Artefact] = []
        for name in sorted(found, key=lambda path: path.encode("utf-16-be")):
            check_file_name(name)
            with found[name].open("rb") as file:
                check_content(name, file, found[name].stat().st_size)
            sha256, size = self._blobs.adopt(found[name])
            listed.append({"path": name, "bytes": size, "sha256": sha256})
        return listed

    async def folder(self, artefact_id: str) -> tuple[Path, str]:
        """The artefact's files as a folder, and its kind. Raises artefact.not_found, storage.corrupt."""
        record = await self._store.artefact(artefact_id)
        target = self._folder / artefact_id
        async with self._lock:
            if not target.is_dir():
                await asyncio.to_thread(self._materialise, record, target)
        return target, record["kind"]

    def _materialise(self, record: Artefact, target: Path) -> None:
        part = target.with_name(f"{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        for entry in record["files"]:
            source = self._blobs.path(entry["sha256"])
            if not source.is_file():
                message = f"{record['name']}: {entry['path']} is gone from the worker. Upload the artefact again."
                raise NagiError("storage.corrupt", message, {"file": entry["path"]})
            file = part / entry["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(source, file)
        part.replace(target)

    async def delete(self, artefact_id: str) -> None:
        """Raises artefact.not_found; artefact.in_use {name, users} while an unfinished run takes it in."""
        async with self._lock:
            record = await self._store.artefact(artefact_id)
            runs = await self._store.runs()
            users = [name_of(run) for run in runs if _needs(run, artefact_id)]
            if users:
                message = f'"{record["name"]}" is needed by {", ".join(users)}. Wait, or delete those runs first.'
                raise NagiError("artefact.in_use", message, {"name": record["name"], "users": ", ".join(users)})
            await self._store.delete_artefact(artefact_id)
            await asyncio.to_thread(shutil.rmtree, self._folder / artefact_id, True)
            await self._sweep([file["sha256"] for file in record["files"]], runs)

    async def release(self, data: dict[str, Any] | None) -> None:
        """Removes the rows of a deleted run, where no other run reads them."""
        async with self._lock:
            hashes = [sha256 for sha256 in (data or {}).values() if sha256 is not None]
            await self._sweep(hashes, await self._store.runs())

    async def _sweep(self, hashes: list[str], runs: list[StoredRun]) -> None:
        kept = {file["sha256"] for record in await self._store.artefacts() for file in record["files"]}
        for run in runs:
            kept.update(sha256 for sha256 in (run.command["data"] or {}).values() if sha256 is not None)
        for sha256 in set(hashes) - kept:
            await self._blobs.remove(sha256)


def check_record(record: Artefact) -> None:
    """What the schema cannot say. Raises worker.bad_message, worker.file_refused."""
    found = jsontext.artefact_id(record)
    if found != record["id"]:
        raise bad_message(f"artefact {record['id']}: its content has the id {found}")
    paths = [file["path"] for file in record["files"]]
    # A file system may take "A" and "a" for the same name.
    if len({path.lower() for path in paths}) < len(paths):
        raise refused(record["name"], "two files of one name")
    for path in paths:
        check_file_name(path)


def name_of(run: StoredRun) -> str:
    stage = stage_of(run.record["config"], run.record["stage"])
    return f"{run.record['config']['name']}/{stage['id'] if stage else run.record['stage']}"


def _needs(run: StoredRun, artefact_id: str) -> bool:
    unfinished = run.record["state"] in (*WORKING, "paused")
    return unfinished and artefact_id in run.record["inputs"].values()
