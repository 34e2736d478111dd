"""`nagi-worker`, a notebook's `serve_in_background`, TLS."""

from __future__ import annotations

import argparse
import asyncio
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from worker_kit import TESTS, asynchronous, open_studio

from nagi_worker.background import serve_in_background
from nagi_worker.cli import byte_count, main, options_of, page_origin, parser
from nagi_worker.errors import NagiError
from nagi_worker.server import Address, tls_context


def test_defaults_listen_on_this_machine_only() -> None:
    options, address, relay = options_of(parser().parse_args(["serve"]))
    assert address is not None
    assert (address.host, address.cert, relay) == ("127.0.0.1", None, None)
    assert (options.allowed_origins, options.models, options.new_token) == ((), None, False)


def test_every_option(tmp_path: Path) -> None:
    given = [
        "serve",
        "--host",
        "0.0.0.0",
        "--port",
        "9000",
        "--cert",
        "c.pem",
        "--key",
        "k.pem",
        "--data",
        str(tmp_path),
    ]
    given += ["--max-upload", "2G", "--allow-origin", "https://a.example/", "--allow-origin", "https://b.example"]
    given += ["--models", str(tmp_path), "--name", "箱", "--new-token"]
    options, address, _ = options_of(parser().parse_args(given))
    assert address == Address("0.0.0.0", 9000, Path("c.pem"), Path("k.pem"))
    assert (options.data, options.max_upload, options.name) == (tmp_path, 2 << 30, "箱")
    assert options.allowed_origins == ("https://a.example", "https://b.example")
    assert (options.models, options.new_token) == (tmp_path, True)


def test_join_listens_nowhere() -> None:
    _, address, relay = options_of(parser().parse_args(["join", "wss://relay.example"]))
    assert (address, relay) == (None, "wss://relay.example")


@pytest.mark.parametrize(("text", "count"), [("1000", 1000), ("64G", 64 << 30), ("5 MB".replace(" ", ""), 5 << 20)])
def test_sizes(text: str, count: int) -> None:
    assert byte_count(text) == count


def test_what_is_no_size_and_no_origin() -> None:
    for text in ("-1", "1.5G", "many", ""):
        with pytest.raises(argparse.ArgumentTypeError):
            byte_count(text)
    for text in ("*", "example.com", "https://a.example/path", "file:///x"):
        with pytest.raises(argparse.ArgumentTypeError):
            page_origin(text)


def test_a_certificate_needs_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--cert", "c.pem"]) == 1
    assert "--cert and --key go together" in capsys.readouterr().err


def test_a_relay_has_a_websockets_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["join", "https://relay.example", "--data", str(tmp_path)]) == 1
    assert "begins with wss://" in capsys.readouterr().err


def test_a_notebook_cell(tmp_path: Path) -> None:
    said: list[str] = []
    running = serve_in_background(tmp_path, port=0, say=said.append)
    assert running.url is not None
    assert running.url in said[0]
    assert running.token in said[0]
    assert running.url.startswith("ws://127.0.0.1:")

    async def look() -> None:
        async with open_studio(running.url, running.token) as studio:
            assert await studio.request("list_runs") == []

    asyncio.run(look())
    with pytest.raises(NagiError) as caught:
        serve_in_background(tmp_path, port=0, say=said.append)
    assert caught.value.code == "storage.busy"
    running.stop()
    again = serve_in_background(tmp_path, port=0, say=said.append)
    assert again.token == running.token
    again.stop()


def certificate(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@asynchronous
async def test_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nagi_worker.cli", "serve", "--data", str(tmp_path / "data"), "--port", "0"),
        *("--cert", str(cert), "--key", str(key)),
        cwd=TESTS.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().split()[-1]
    token = (await process.stdout.readline()).decode().split()[-1]
    assert url.startswith("wss://")
    trust = ssl.create_default_context(cafile=str(cert))
    async with open_studio(url, token, ssl=trust) as studio:
        assert await studio.request("list_runs") == []
    context = tls_context(Address(cert=cert, key=key))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    process.terminate()
    assert await process.wait() == 0
