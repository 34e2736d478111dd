"""A worker with its socket or its link to a relay, for the command line and for a notebook cell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from nagi_worker.errors import NagiError
from nagi_worker.join import Joined
from nagi_worker.server import DEFAULT_HOST, DEFAULT_PORT, Address, WorkerServer
from nagi_worker.service import DEFAULT_MAX_UPLOAD, Options, Worker

Say = Callable[[str], None]
DEFAULT_DATA = Path.home() / ".nagi-worker"


@dataclass
class Running:
    """A worker at work."""

    worker: Worker
    url: str | None
    """Address for the studio; None where it only joins a relay."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to pause the runs and end."""
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to end without waiting: stages work on, the next start takes them over."""


async def run_worker(
    options: Options,
    address: Address | None,
    relay: str | None,
    say: Say,
    started: Callable[[Running], None] = lambda _: None,
) -> None:
    """
    Until `ended` is set (see `started`). @param address None: no socket of its own @param relay None: joins none
    Raises NagiError storage.busy, OSError (port, certificate), ValueError (relay's address).
    """
    worker = Worker(options)
    running = Running(worker, None)
    server = WorkerServer(worker, address) if address is not None else None
    joined = Joined(worker, relay, say) if relay is not None else None
    try:
        await worker.open()
        if server is not None:
            running.url = await server.start()
            say(f"  address / アドレス:  {running.url}\n  token / トークン:     {worker.secrets.token}")
            if address is not None and address.cert is None and not _is_local(address.host):
                say("  no TLS: the token crosses the network in the clear / 暗号化されていません (--cert, --key)")
        link = asyncio.create_task(joined.run()) if joined is not None else None
        started(running)
        await running.ended.wait()
        if link is not None:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)
    finally:
        if server is not None:
            await server.close()
        await _close(running, say)


async def _close(running: Running, say: Say) -> None:
    closing = asyncio.create_task(running.worker.close())
    hurry = asyncio.create_task(running.hurry.wait())
    done, _ = await asyncio.wait({closing}, timeout=0.5)
    if not done:
        say("pausing runs; they go on with the next start / 実行中のものを一時停止しています")
    await asyncio.wait({closing, hurry}, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not closing.done():
        running.worker.leave_stages()
    await closing


def _is_local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


class BackgroundWorker:
    """What `serve_in_background` returns."""

    def __init__(self, url: str | None, token: str, thread: threading.Thread, end: Callable[[], None]) -> None:
        self.url = url
        self.token = token
        self._thread = thread
        self._end = end

    def stop(self) -> None:
        """Pauses running stages (they go on with the next start) and ends the worker."""
        self._end()
        self._thread.join()

    def __repr__(self) -> str:
        return f"<Nagi worker {self.url or 'at a relay'}>"


def serve_in_background(
    data: str | Path = DEFAULT_DATA,
    *,
    relay: str | None = None,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    cert: str | Path | None = None,
    key: str | Path | None = None,
    name: str | None = None,
    max_upload: int = DEFAULT_MAX_UPLOAD,
    allowed_origins: tuple[str, ...] = (),
    models: str | Path | None = None,
    say: Say = print,
) -> BackgroundWorker:
    """
    Starts a worker on a thread and returns at once: for a notebook cell. With `relay` it dials out and listens nowhere.
    Prints address and token, or the pairing code. Raises what `run_worker` raises.
    """
    options = Options(Path(data), name, max_upload, tuple(allowed_origins), Path(models) if models else None)
    address = None
    if relay is None:
        address = Address(host, port, Path(cert) if cert else None, Path(key) if key else None)
    ready: Future[tuple[Running, asyncio.AbstractEventLoop]] = Future()

    def started(running: Running) -> None:
        ready.set_result((running, asyncio.get_running_loop()))

    def work() -> None:
        try:
            asyncio.run(run_worker(options, address, relay, say, started))
        except (NagiError, OSError, ValueError) as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=work, name="nagi-worker", daemon=True)
    thread.start()
    running, loop = ready.result()

    def end() -> None:
        loop.call_soon_threadsafe(running.ended.set)

    return BackgroundWorker(running.url, running.worker.secrets.token, thread, end)
