"""Files that a worker does not take: names that lead outside, weights that are code, contents that lie."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from worker_kit import WorkerError, asynchronous, fixture, open_studio, open_worker

from nagi_worker import jsontext, security
from nagi_worker.errors import NagiError

BAD_PATHS = [
    "../escape.json",
    "a/../../escape.json",
    "/etc/escape.json",
    "a//b.json",
    "./a.json",
    "a/./b.json",
    "..\\escape.json",
    "C:\\escape.json",
    "a\u0000.json",
    "a.json\n",
    ".hidden.json",
    "a/",
    "ａ.json",
    "x/" * 9 + "a.json",
    "model.bin",
    "pytorch_model.bin",
    "training_args.pt",
    "model.safetensors.pkl",
    "modeling_evil.py",
    "a.zip",
    "setup.sh",
    "con figure.json",
]


def artefact_of(path: str, content: bytes, sha256: str) -> dict[str, Any]:
    record = fixture("valid/artefact-record.json")
    record["files"] = [{"path": path, "bytes": len(content), "sha256": sha256}]
    return {**record, "id": jsontext.artefact_id(record)}


@asynchronous
async def test_names_of_files_stay_inside(tmp_path: Path) -> None:
    async with open_worker(tmp_path / "data") as (worker, url), open_studio(url, worker.secrets.token) as studio:
        sha256 = await studio.upload(b"{}")
        for path in BAD_PATHS:
            with pytest.raises(WorkerError) as caught:
                await studio.request("put_artefact", record=artefact_of(path, b"{}", sha256))
            assert caught.value.code == "worker.file_refused", path
        twice = artefact_of("a.json", b"{}", sha256)
        twice["files"] = [twice["files"][0], {**twice["files"][0], "path": "A.json"}]
        with pytest.raises(WorkerError) as caught:
            await studio.request("put_artefact", record={**twice, "id": jsontext.artefact_id(twice)})
        assert caught.value.code == "worker.file_refused"
        good = artefact_of("a/config.json", b"{}", sha256)
        assert await studio.request("put_artefact", record=good) == {"missing": []}
        assert await studio.request("list_artefacts") == [good]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@asynchronous
async def test_a_record_with_another_id_is_refused(tmp_path: Path) -> None:
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        sha256 = await studio.upload(b"{}")
        record = {**artefact_of("config.json", b"{}", sha256), "name": "another"}
        with pytest.raises(WorkerError) as caught:
            await studio.request("put_artefact", record=record)
        assert caught.value.code == "worker.bad_message"


# Files that are code, or more than they seem.


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (Path.touch, (Path("/tmp/nagi-pickle-was-run"),))


def torch_zip() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(4)}, file)
    return file.getvalue()


def torch_legacy() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(4)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (64 << 20))
    return file.getvalue()


CODE = {
    "torch zip": torch_zip,
    "torch legacy": torch_legacy,
    "zip bomb": zip_bomb,
    **{f"pickle {protocol}": lambda protocol=protocol: pickle.dumps(Evil(), protocol) for protocol in range(2, 6)},
}


@pytest.mark.parametrize("kind", CODE)
@asynchronous
async def test_pickles_and_archives_are_refused_at_their_first_bytes(tmp_path: Path, kind: str) -> None:
    content = CODE[kind]()
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        with pytest.raises(WorkerError) as caught:
            await studio.upload(content)
        assert caught.value.code == "worker.file_refused"
        assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []
    assert not Path("/tmp/nagi-pickle-was-run").exists()


HEADER = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
NOT_WHAT_THEY_SAY = {
    "text protocol pickle": ("model.safetensors", pickle.dumps(Evil(), 0)),
    "pickle after spaces": ("config.json", b"   " + pickle.dumps({"a": 1}, 0)),
    "header longer than the file": ("model.safetensors", (1 << 40).to_bytes(8, "little") + HEADER),
    "no header": ("model.safetensors", b"\0" * 16),
    "header is a list": ("model.safetensors", (2).to_bytes(8, "little") + b"[]"),
    "tensor outside": ("model.safetensors", len(HEADER).to_bytes(8, "little") + HEADER + b"\0\0"),
    "deep header": ("model.safetensors", (100_000).to_bytes(8, "little") + b"[" * 100_000),
    "deep JSON": ("config.json", b"[" * 100_000),
    "JSON with NaN": ("config.json", b'{"a": NaN}'),
    "empty weights": ("model.safetensors", b""),
}


@pytest.mark.parametrize("kind", NOT_WHAT_THEY_SAY)
@asynchronous
async def test_files_must_be_what_their_names_say(tmp_path: Path, kind: str) -> None:
    path, content = NOT_WHAT_THEY_SAY[kind]
    async with open_worker(tmp_path) as (worker, url), open_studio(url, worker.secrets.token) as studio:
        sha256 = hashlib.sha256(content).hexdigest()
        await studio.write_blob(sha256, 0, len(content), content)
        with pytest.raises(WorkerError) as caught:
            await studio.request("put_artefact", record=artefact_of(path, content, sha256))
        assert caught.value.code == "worker.file_refused"
        assert await studio.request("list_artefacts") == []


def test_a_safetensors_header_of_640_bytes_is_no_pickle() -> None:
    start = (640).to_bytes(8, "little") + b"{"
    assert start.startswith(b"\x80\x02")
    security.refuse_archive(start, "model.safetensors")
    with pytest.raises(NagiError):
        security.refuse_archive(b"\x80\x02}q\x00.\0\0{", "model.safetensors")
