"""What each command of `$defs/client_message` does. A handler gets the worker, the connection and the command, and
returns the `result` of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from nagi_worker import machine
from nagi_worker.errors import NagiError
from nagi_worker.inputs import invalid
from nagi_worker.records import stage_of
from nagi_worker.service import Worker
from nagi_worker.stage_process import LOG_FILE
from nagi_worker.stages.preflight import preflight
from nagi_worker.stages.shapes import shape_of
from nagi_worker.wire import encode_binary

if TYPE_CHECKING:
    from nagi_worker.connection import Connection

Command = dict[str, Any]
Handler = Callable[[Worker, "Connection", Command], Awaitable[Any]]

LOG_PIECE = 64 << 10


async def _status(worker: Worker, _: Connection, __: Command) -> dict[str, Any]:
    return await worker.status()


async def _list_runs(worker: Worker, _: Connection, __: Command) -> list[dict[str, Any]]:
    runs = await worker.store.runs()
    return sorted((run.record for run in runs), key=lambda record: -record["created"])


async def _start(worker: Worker, _: Connection, command: Command) -> dict[str, Any]:
    _check_launch(command["launch"], worker)
    wanted = {key: value for key, value in command.items() if key != "name"}
    return await worker.runs.start(wanted)


def _check_launch(launch: dict[str, Any], worker: Worker) -> None:
    launchers = machine.launchers()
    if launch["launcher"] not in launchers:
        problem = f"{launch['launcher']} is not installed on this worker"
        raise invalid("launch", "launcher", problem, ", ".join(launchers))
    tracking = launch["tracking"]
    _check_trackers(tracking["trackers"] if tracking else [])
    if launch["quantization"] is not None and not worker.gpus:
        raise invalid("launch", "quantization", "8 and 4 bit need CUDA and bitsandbytes", "null")


def _check_trackers(names: list[str]) -> None:
    installed = machine.trackers()
    for name in names:
        if name not in installed:
            problem = f"{name} is not installed on this worker"
            raise invalid("tracking", "trackers", problem, ", ".join(installed) or "none")


async def _pause(worker: Worker, _: Connection, command: Command) -> None:
    await worker.runs.pause(command["run_id"])


async def _resume(worker: Worker, _: Connection, command: Command) -> None:
    await worker.runs.resume(command["run_id"])


async def _stop(worker: Worker, _: Connection, command: Command) -> None:
    await worker.runs.stop(command["run_id"])


async def _checkpoint(worker: Worker, _: Connection, command: Command) -> None:
    await worker.runs.checkpoint(command["run_id"])


async def _delete(worker: Worker, _: Connection, command: Command) -> None:
    await worker.runs.delete(command["run_id"])


async def _subscribe(worker: Worker, connection: Connection, command: Command) -> dict[str, int]:
    last = await worker.store.last_seq(command["run_id"])
    connection.after_answer(lambda: connection.send_events(command["run_id"], command["since_seq"]))
    return {"last_seq": last}


async def _unsubscribe(_: Worker, connection: Connection, command: Command) -> None:
    connection.end_task(f"events {command['run_id']}")


async def _subscribe_status(_: Worker, connection: Connection, __: Command) -> None:
    connection.after_answer(connection.send_status)


async def _stat_blob(worker: Worker, _: Connection, command: Command) -> dict[str, Any]:
    return await worker.blobs.stat(command["sha256"], command["bytes"])


async def _read_blob(worker: Worker, connection: Connection, command: Command) -> bytes:
    content, total = await worker.blobs.read(command["sha256"], command["offset"], command["bytes"])
    header = {
        "type": "blob",
        "request_id": connection.request_id,
        "sha256": command["sha256"],
        "offset": command["offset"],
        "total": total,
    }
    return encode_binary(header, content)


async def _put_artefact(worker: Worker, _: Connection, command: Command) -> dict[str, list[str]]:
    return {"missing": await worker.artefacts.put(command["record"])}


async def _get_artefact(worker: Worker, _: Connection, command: Command) -> dict[str, Any]:
    return await worker.store.artefact(command["id"])


async def _list_artefacts(worker: Worker, _: Connection, __: Command) -> list[dict[str, Any]]:
    return await worker.store.artefacts()


async def _delete_artefact(worker: Worker, _: Connection, command: Command) -> None:
    await worker.artefacts.delete(command["id"])


async def _preflight(worker: Worker, _: Connection, command: Command) -> dict[str, Any]:
    config, stage_id = command["config"], command["stage"]
    if stage_of(config, stage_id) is None:
        ids = ", ".join(stage["id"] for stage in config["stages"])
        raise invalid(config["name"], "stage", f'there is no stage "{stage_id}"', ids)
    devices = machine.devices_of(worker.gpus)
    reference, model = config["model"]["model_name_or_path"], command["model"]
    shape = None if model is None else shape_of(reference, model)
    shapes = {} if shape is None else {reference: shape}
    return await asyncio.to_thread(preflight, config, stage_id, command["launch"], devices, shapes)


async def _logs(worker: Worker, _: Connection, command: Command) -> dict[str, Any]:
    await worker.store.run(command["run_id"])
    path = worker.runs.folder(command["run_id"]) / LOG_FILE
    offset = command["offset"]

    def read() -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(LOG_PIECE)
        except FileNotFoundError:
            return b""

    content = _whole_characters(await asyncio.to_thread(read))
    return {"text": content.decode("utf-8", "replace"), "offset": offset + len(content)}


def _whole_characters(content: bytes) -> bytes:
    """Without the beginning of a character whose rest is not there yet."""
    for back in range(1, min(4, len(content)) + 1):
        byte = content[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return content[:-back] if back < length else content
    return content


async def _forward(worker: Worker, _: Connection, command: Command) -> dict[str, int]:
    _check_trackers(command["tracking"]["trackers"])
    following = await worker.forwards.forward(command["run_id"], command["events"], command["tracking"])
    return {"next_seq": following}


async def _join_code(worker: Worker, _: Connection, __: Command) -> dict[str, Any]:
    if worker.join_code is None:
        message = "This worker has joined no relay. Start it with: nagi-worker join wss://RELAY"
        raise NagiError("run.bad_command", message, {"command": "join_code", "state": "not joined"})
    return worker.join_code()


HANDLERS: dict[str, Handler] = {
    "status": _status,
    "list_runs": _list_runs,
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "checkpoint": _checkpoint,
    "delete": _delete,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "subscribe_status": _subscribe_status,
    "stat_blob": _stat_blob,
    "read_blob": _read_blob,
    "put_artefact": _put_artefact,
    "get_artefact": _get_artefact,
    "list_artefacts": _list_artefacts,
    "delete_artefact": _delete_artefact,
    "preflight": _preflight,
    "logs": _logs,
    "forward": _forward,
    "join_code": _join_code,
}
