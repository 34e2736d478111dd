"""The worker's WebSocket: ws(s)://HOST:PORT/ws. Binds to this machine only unless told otherwise."""

from __future__ import annotations

import http
import ssl
from dataclasses import dataclass
from pathlib import Path

from websockets.asyncio.connection import Connection as WebSocketConnection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from nagi_worker.connection import ChannelClosed, Connection, Door
from nagi_worker.security import origin_allowed
from nagi_worker.service import Worker
from nagi_worker.wire import MAX_FRAME_BYTES

PATH = "/ws"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8471
# Frames that wait unread, and bytes unsent, before the other side has to wait.
_WAITING_FRAMES = 4
_PING_SECONDS = 20
_SILENCE_SECONDS = 60
_MAX_CONNECTIONS = 256


@dataclass(frozen=True)
class Address:
    """Where to listen. Port 0: a free one."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    cert: Path | None = None
    key: Path | None = None


class SocketChannel:
    """A WebSocket as a Channel."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes:
        try:
            return await self._socket.recv()
        except ConnectionClosed as error:
            raise ChannelClosed from error

    async def send(self, data: str | bytes) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed as error:
            raise ChannelClosed from error

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)


def tls_context(address: Address) -> ssl.SSLContext | None:
    """None without a certificate. Raises OSError, ssl.SSLError where the files are none."""
    if address.cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(address.cert, address.key)
    return context


class WorkerServer:
    """Listens until closed."""

    def __init__(self, worker: Worker, address: Address) -> None:
        self._worker = worker
        self._address = address
        self._server: Server | None = None
        self._open = 0

    async def start(self) -> str:
        """Listens. Returns the address for the studio. Raises OSError where the port is taken."""
        context = tls_context(self._address)
        self._server = await serve(
            self._serve,
            self._address.host,
            self._address.port,
            ssl=context,
            process_request=self._admit,
            # Never: a small compressed frame may unfold to any size.
            compression=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=_WAITING_FRAMES,
            ping_interval=_PING_SECONDS,
            ping_timeout=_SILENCE_SECONDS,
            server_header=None,
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"{'ws' if context is None else 'wss'}://{_shown(self._address.host)}:{port}{PATH}"

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """An answer to what is not a studio's handshake; None lets it through."""
        origin = request.headers.get("Origin")
        if not origin_allowed(origin, self._worker.options.allowed_origins):
            text = f"The page {origin} may not use this worker. Start it with --allow-origin {origin}\n"
            return connection.respond(http.HTTPStatus.FORBIDDEN, text)
        if request.path.split("?", 1)[0] != PATH:
            if request.path == "/":
                return connection.respond(http.HTTPStatus.OK, "A Nagi worker. Add its address in the studio.\n")
            return connection.respond(http.HTTPStatus.NOT_FOUND, "not here\n")
        if self._open >= _MAX_CONNECTIONS:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many connections\n")
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        self._open += 1
        try:
            await Connection(self._worker, SocketChannel(socket), Door((self._worker.secrets.token,))).run()
        finally:
            self._open -= 1

    async def close(self) -> None:
        """Ends all connections; the runs go on."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):
        return "localhost"
    return f"[{host}]" if ":" in host else host
