"""`nagi-worker serve` and `nagi-worker join`."""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import sys
from pathlib import Path

from nagi_worker import __version__
from nagi_worker.background import DEFAULT_DATA, Running, run_worker
from nagi_worker.errors import NagiError
from nagi_worker.server import DEFAULT_HOST, DEFAULT_PORT, Address
from nagi_worker.service import DEFAULT_MAX_UPLOAD, Options

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_ORIGIN = re.compile(r"https?://[^/\s]+")


def byte_count(text: str) -> int:
    """`64G`, `500M`, `1000`."""
    match = re.fullmatch(r"(\d{1,15})([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text}: a size is a number with K, M, G or T")
    # What JavaScript counts exactly.
    return min(int(match[1]) * _UNITS[match[2].upper()], (1 << 53) - 1)


def page_origin(text: str) -> str:
    """`https://nagi.example`: scheme, host and port of the studio's page."""
    origin = text.rstrip("/")
    if _ORIGIN.fullmatch(origin) is None:
        raise argparse.ArgumentTypeError(f"{text}: an origin is http(s)://HOST[:PORT], without a path")
    return origin


def port_number(text: str) -> int:
    if text.isdigit() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text}: a port is a whole number from 0 to 65535 (0: a free one)")


def folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return path


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("nagi-worker", description="Trains the studio's stages on this machine.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True)

    common = argparse.ArgumentParser(add_help=False)
    add = common.add_argument
    add("--data", type=Path, default=DEFAULT_DATA, help="runs, artefacts, uploads (default: %(default)s)")
    add("--name", help="what the studio calls this worker (default: the machine's name)")
    add("--max-upload", type=byte_count, default=DEFAULT_MAX_UPLOAD, help="largest file taken, as 64G or 500M")
    add("--allow-origin", type=page_origin, action="append", default=[], help="a page other than localhost; repeatable")
    add("--models", type=folder, help="models below this folder may be used as local:PATH")
    add("--new-token", action="store_true", help="make another token and pairing code; the old ones are void")

    serve = commands.add_parser("serve", parents=[common], help="listen for studios")
    serve.add_argument("--host", default=DEFAULT_HOST, help="default: %(default)s, this machine only")
    serve.add_argument("--port", type=port_number, default=DEFAULT_PORT, help="default: %(default)s")
    serve.add_argument("--cert", type=Path, help="TLS certificate chain (PEM)")
    serve.add_argument("--key", type=Path, help="its private key (PEM)")

    join = commands.add_parser("join", parents=[common], help="dial a relay, from behind NAT")
    join.add_argument("relay", help="wss://RELAY, as `npm start -- --relay` prints it")
    return top


def options_of(arguments: argparse.Namespace) -> tuple[Options, Address | None, str | None]:
    """Options, where to listen (None: nowhere), which relay to join (None: none)."""
    options = Options(
        data=arguments.data.expanduser(),
        name=arguments.name,
        max_upload=arguments.max_upload,
        allowed_origins=tuple(arguments.allow_origin),
        models=arguments.models,
        new_token=arguments.new_token,
    )
    if arguments.command == "join":
        return options, None, arguments.relay
    if (arguments.cert is None) != (arguments.key is None):
        raise ValueError("--cert and --key go together")
    return options, Address(arguments.host, arguments.port, arguments.cert, arguments.key), None


def end_with_signals(running: Running) -> None:
    """The first Ctrl-C pauses runs and ends; the second leaves them to the next start."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        if running.ended.is_set():
            running.hurry.set()
        running.ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 after it was ended, 1 where it could not start."""
    top = parser()
    parsed = top.parse_args(arguments)

    def say(text: str) -> None:
        print(text, flush=True)

    try:
        options, address, relay = options_of(parsed)
        asyncio.run(run_worker(options, address, relay, say, end_with_signals))
    except NagiError as error:
        print(f"nagi-worker: {error.message}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"nagi-worker: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
