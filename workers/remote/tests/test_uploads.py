"""Uploads that are cut, damaged, too large, or meet a full disk."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import random
from pathlib import Path
from typing import Any

import pytest
from worker_kit import WorkerError, asynchronous, open_studio, open_worker

from nagi_worker import blobs as blob_module


@asynchronous
async def test_a_cut_upload_goes_on_where_it_was(tmp_path: Path) -> None:
    content = random.Random(7).randbytes(5_000_000)
    sha256 = hashlib.sha256(content).hexdigest()
    async with open_worker(tmp_path) as (worker, url):
        async with open_studio(url, worker.secrets.token) as studio:
            await studio.write_blob(sha256, 0, len(content), content[:1_000_000])
            # The second piece is under way when the socket is cut.
            pending = asyncio.create_task(
                studio.write_blob(sha256, 1_000_000, len(content), content[1_000_000:2_000_000])
            )
            await asyncio.sleep(0)
            studio.socket.transport.abort()
            with pytest.raises(ConnectionError):
                await pending
        async with open_studio(url, worker.secrets.token) as first, open_studio(url, worker.secrets.token) as second:
            state = await first.request("stat_blob", sha256=sha256, bytes=len(content))
            assert state in ({"bytes": 1_000_000, "complete": False}, {"bytes": 2_000_000, "complete": False})
            # Two tabs send the same file at once.
            await asyncio.gather(first.upload(content), second.upload(content))
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        header, piece = await studio.request("read_blob", sha256=sha256, offset=4_999_000, bytes=5000)
        assert (header["total"], piece) == (len(content), content[4_999_000:])
        other = content[::-1]
        other_sha = hashlib.sha256(other).hexdigest()
        await studio.write_blob(other_sha, 0, len(other), other[:3_000_000])
    # After a restart nothing is known of the beginning but its bytes.
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        assert await studio.upload(other) == other_sha


@asynchronous
async def test_what_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    content = b'{"a": 1}' * 1000
    sha256 = hashlib.sha256(content).hexdigest()
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        with pytest.raises(WorkerError) as caught:
            await studio.write_blob(sha256, 0, len(content), b"x" + content[1:])
        assert caught.value.code == "storage.corrupt"
        with pytest.raises(WorkerError) as gap:
            await studio.write_blob(sha256, 10, len(content), content[10:])
        assert gap.value.code == "worker.bad_message"
        with pytest.raises(WorkerError) as more:
            await studio.write_blob(sha256, 0, 10, content)
        assert more.value.code == "worker.bad_message"
        assert await studio.upload(content) == sha256


@asynchronous
async def test_sizes_are_asked_for_before_anything_is_stored(tmp_path: Path) -> None:
    async with (
        open_worker(tmp_path, max_upload=1000) as (worker, url),
        open_studio(url, worker.secrets.token) as studio,
    ):
        for ask in (
            studio.request("stat_blob", sha256="0" * 64, bytes=1001),
            studio.write_blob("0" * 64, 0, 1001, b"x"),
            studio.write_blob("0" * 64, 0, (1 << 53) - 1, b"x"),
        ):
            with pytest.raises(WorkerError) as caught:
                await ask
            assert caught.value.code == "worker.too_large"
            assert caught.value.details["allowed"] == 1000
    options = {"max_upload": 1 << 52}
    async with open_worker(tmp_path, **options) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        with pytest.raises(WorkerError) as full:
            await studio.request("stat_blob", sha256="0" * 64, bytes=1 << 51)
        assert full.value.code == "storage.quota"
        assert full.value.details["needed"] > full.value.details["available"] > 0
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


class FullAfter(io.FileIO):
    """A file whose disk takes some bytes more and then none."""

    def write(self, content: memoryview) -> int:
        super().write(content[:1234])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@asynchronous
async def test_a_full_disk_ends_an_upload_and_keeps_what_had_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"a" * 3_000_000
    sha256 = hashlib.sha256(content).hexdigest()
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        await studio.write_blob(sha256, 0, len(content), content[:1_000_000])
        real = Path.open
        with monkeypatch.context() as patch:

            def full(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
                if mode == "ab" and path.suffix == ".part":
                    return FullAfter(path, mode)
                return real(path, mode, *arguments, **named)

            patch.setattr(blob_module.Path, "open", full)
            with pytest.raises(WorkerError) as caught:
                await studio.write_blob(sha256, 1_000_000, len(content), content[1_000_000:2_000_000])
            assert caught.value.code == "storage.quota"
        state = await studio.request("stat_blob", sha256=sha256, bytes=len(content))
        assert state == {"bytes": 1_000_000, "complete": False}
        assert await studio.upload(content) == sha256
