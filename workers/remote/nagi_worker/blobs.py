"""
Bytes by their SHA-256: `blobs/ab/abcd...`, complete ones only; what is still arriving lies in `blobs/partial`. An upload
goes on where it was cut, is checked against its hash before it counts, and is asked for its size before a byte is stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nagi_worker.errors import NagiError, disk_full, is_disk_full
from nagi_worker.security import refuse_archive

T = TypeVar("T")

# Room that uploads leave for events, logs and checkpoints.
RESERVE_BYTES = 64 << 20
# An upload that nobody has gone on with for two weeks is not waited for.
ABANDONED_SECONDS = 14 * 24 * 3600
_PIECE = 4 << 20


class _Arrival:
    """A hash that follows an upload, so that a file of gigabytes is not read again at its end."""

    def __init__(self) -> None:
        self.bytes = 0
        self.digest = hashlib.sha256()


class BlobStore:
    """Its coroutines do their reading, writing and hashing on threads; writes of one blob wait for each other."""

    def __init__(self, folder: Path, max_upload: int) -> None:
        self._folder = folder
        self._partial = folder / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        self.max_upload = max_upload
        self._forget_abandoned()
        self._arrivals: dict[str, _Arrival] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def _forget_abandoned(self) -> None:
        oldest = time.time() - ABANDONED_SECONDS
        for part in self._partial.iterdir():
            if part.stat().st_mtime < oldest:
                part.unlink()

    def path(self, sha256: str) -> Path:
        """Where the complete blob lies. @param sha256 64 hex digits, checked by the schema"""
        return self._folder / sha256[:2] / sha256

    def _part(self, sha256: str) -> Path:
        return self._partial / f"{sha256}.part"

    def is_complete(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    async def _alone(self, sha256: str, work: Callable[[], T]) -> T:
        lock = self._locks.setdefault(sha256, asyncio.Lock())
        async with lock:
            return await asyncio.to_thread(work)

    async def stat(self, sha256: str, total: int) -> dict[str, Any]:
        """{bytes, complete}. Raises worker.too_large, storage.quota: before the first byte is sent."""

        def look() -> dict[str, Any]:
            if self.is_complete(sha256):
                return {"bytes": self.path(sha256).stat().st_size, "complete": True}
            self._check_size(sha256, total)
            return {"bytes": self._arrived(sha256), "complete": False}

        return await self._alone(sha256, look)

    async def write(self, sha256: str, offset: int, total: int, content: memoryview) -> dict[str, Any]:
        """
        Stores a piece; one that was stored before is passed over. {bytes, complete}: where the upload goes on.
        Raises worker.too_large, worker.file_refused, storage.quota (what had arrived stays) and storage.corrupt (nothing does).
        """
        return await self._alone(sha256, lambda: self._write(sha256, offset, total, content))

    def _write(self, sha256: str, offset: int, total: int, content: memoryview) -> dict[str, Any]:
        if self.is_complete(sha256):
            return {"bytes": self.path(sha256).stat().st_size, "complete": True}
        self._check_size(sha256, total)
        arrived = self._arrived(sha256)
        if offset > arrived or offset + len(content) > total:
            problem = f"piece {offset}+{len(content)} of {total}, {arrived} bytes have arrived"
            raise NagiError("worker.bad_message", f"{sha256}: {problem}.", {"problem": problem})
        fresh = content[arrived - offset :]
        if arrived == 0:
            refuse_archive(bytes(fresh[:16]), sha256)
        self._store(sha256, arrived, fresh)
        arrived += len(fresh)
        if arrived < total:
            return {"bytes": arrived, "complete": False}
        self._complete(sha256)
        return {"bytes": total, "complete": True}

    def _check_size(self, sha256: str, total: int) -> None:
        if total > self.max_upload:
            message = f"{total} bytes are more than this worker takes. Start it with a larger --max-upload."
            raise NagiError("worker.too_large", message, {"bytes": total, "allowed": self.max_upload})
        needed = total - self._arrived(sha256) + RESERVE_BYTES
        free = self.free_bytes()
        if free < needed:
            raise disk_full(sha256, needed, free)

    def _arrived(self, sha256: str) -> int:
        try:
            return self._part(sha256).stat().st_size
        except FileNotFoundError:
            return 0

    def _store(self, sha256: str, arrived: int, fresh: memoryview) -> None:
        part = self._part(sha256)
        try:
            with part.open("ab") as file:
                file.write(fresh)
        except OSError as error:
            if part.exists():
                os.truncate(part, arrived)
            if is_disk_full(error):
                raise disk_full(sha256, len(fresh), self.free_bytes()) from error
            raise
        arrival = self._arrivals.setdefault(sha256, _Arrival())
        if arrival.bytes == arrived:
            arrival.digest.update(fresh)
            arrival.bytes += len(fresh)

    def _complete(self, sha256: str) -> None:
        part = self._part(sha256)
        size = self._arrived(sha256)
        arrival = self._arrivals.pop(sha256, None)
        # An upload that went on after a restart has no hash of its beginning.
        found = arrival.digest.hexdigest() if arrival and arrival.bytes == size else hash_file(part)
        if found != sha256:
            part.unlink(missing_ok=True)
            message = f"{sha256}: what arrived has the SHA-256 {found}. Send it again."
            raise NagiError("storage.corrupt", message, {"file": sha256})
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True)
        if not part.exists():
            part.touch()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)

    async def read(self, sha256: str, offset: int, count: int) -> tuple[bytes, int]:
        """A piece and the blob's size. Raises storage.unavailable where there is no such blob."""

        def piece() -> tuple[bytes, int]:
            try:
                with self.path(sha256).open("rb") as file:
                    total = os.fstat(file.fileno()).st_size
                    file.seek(min(offset, total))
                    return file.read(count), total
            except FileNotFoundError as error:
                message = f"The worker has no file {sha256}. Upload it, or run the stage that made it."
                raise NagiError("storage.unavailable", message, {"message": message}) from error

        return await asyncio.to_thread(piece)

    def adopt(self, file: Path) -> tuple[str, int]:
        """Takes over a file of a stage's output without a second copy where it can. (sha256, bytes); blocks."""
        sha256 = hash_file(file)
        target = self.path(sha256)
        if not target.is_file():
            target.parent.mkdir(exist_ok=True)
            link_or_copy(file, target)
        return sha256, target.stat().st_size

    async def remove(self, sha256: str) -> None:
        def unlink() -> None:
            self.path(sha256).unlink(missing_ok=True)

        await self._alone(sha256, unlink)


def hash_file(path: Path) -> str:
    """SHA-256 in hex; of nothing where there is no file. Blocks."""
    digest = hashlib.sha256()
    if path.exists():
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return digest.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """A second name of the same file, or a copy where the file system has no such thing. Whole or not at all; blocks."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        if is_disk_full(error):
            raise disk_full(target.name, source.stat().st_size, None) from error
        raise
