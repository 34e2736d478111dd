"""
Runs, events and artefacts in SQLite. Events get their number here and are stored before anybody is sent them; how far
a stage's file of events was read is stored in the same transaction, so that nothing is taken twice or left out.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nagi_worker import jsontext
from nagi_worker.errors import NagiError, disk_full, is_disk_full
from nagi_worker.records import Event, Record, follow, new_record

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
  run_id TEXT PRIMARY KEY, record TEXT NOT NULL, command TEXT NOT NULL,
  place INTEGER NOT NULL, events_offset INTEGER NOT NULL DEFAULT 0,
  devices TEXT NOT NULL DEFAULT '[]', continues INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS events (
  run_id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (run_id, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS artefacts (id TEXT PRIMARY KEY, record TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS forwards (run_id TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, bytes INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class StoredRun:
    """A run as it is in the table."""

    record: Record
    command: dict[str, Any]
    place: int
    """Smaller comes first in the queue."""
    events_offset: int
    """Bytes of the stage's events.jsonl that are stored."""
    devices: list[str]
    """What it holds while it works."""
    continues: bool
    """Paused by the worker's own end: goes on by itself with the next start."""


def run_not_found(run_id: str) -> NagiError:
    return NagiError("run.not_found", f"There is no run {run_id} on this worker.", {"run_id": run_id})


class Store:
    """Every method runs on one thread of its own, in order; none blocks the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "nagi-store")
        self._db = self._thread.submit(self._open).result()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        # A killed worker loses nothing; what a power cut takes is still in the stage's file and is read again.
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_TABLES)
        return db

    def close(self) -> None:
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()

    async def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def transact() -> T:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                result = work(self._db)
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if is_disk_full(error):
                    raise disk_full("runs and events", 0, None) from error
                raise
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, transact)

    # runs

    async def add_run(self, command: dict[str, Any], queued: Event) -> tuple[Record, bool]:
        """
        The record, and whether it is new. Raises run.bad_command where the id stands for another run.
        @param queued its first event, without run_id and seq; a new run has its time
        """

        def add(db: sqlite3.Connection) -> tuple[Record, bool]:
            run_id = command["run_id"]
            found = db.execute("SELECT record, command FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            if found is not None:
                if jsontext.parse(found[1]) == command:
                    return jsontext.parse(found[0]), False
                message = f"There is another run {run_id} on this worker. Start this one under an id of its own."
                raise NagiError("run.bad_command", message, {"command": "start", "run_id": run_id})
            record = new_record(command, queued["time"])
            values = (run_id, jsontext.dump(record), jsontext.dump(command), _next_place(db))
            db.execute("INSERT INTO runs (run_id, record, command, place) VALUES (?, ?, ?, ?)", values)
            event = {**queued, "run_id": run_id, "seq": 0}
            db.execute("INSERT INTO events VALUES (?, 0, ?)", (run_id, jsontext.dump(event)))
            return record, True

        return await self._transaction(add)

    async def has_run(self, run_id: str) -> bool:
        sql = "SELECT 1 FROM runs WHERE run_id = ?"
        return await self._transaction(lambda db: db.execute(sql, (run_id,)).fetchone() is not None)

    async def run(self, run_id: str) -> StoredRun:
        """Raises run.not_found."""
        return await self._transaction(lambda db: _read_run(db, run_id))

    async def runs(self) -> list[StoredRun]:
        """In the order of the queue."""
        return await self._transaction(
            lambda db: [_as_run(row) for row in db.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY place")]
        )

    async def update_run(self, run_id: str, **changes: Any) -> Record:
        """Changes fields of the record that no event tells: artefact, seconds."""

        def update(db: sqlite3.Connection) -> Record:
            record = {**_read_run(db, run_id).record, **changes}
            db.execute("UPDATE runs SET record = ? WHERE run_id = ?", (jsontext.dump(record), run_id))
            return record

        return await self._transaction(update)

    async def set_devices(self, run_id: str, devices: list[str]) -> None:
        text = jsontext.dump(devices)
        await self._transaction(lambda db: db.execute("UPDATE runs SET devices = ? WHERE run_id = ?", (text, run_id)))

    async def set_continues(self, run_id: str, continues: bool) -> None:
        await self._transaction(
            lambda db: db.execute("UPDATE runs SET continues = ? WHERE run_id = ?", (int(continues), run_id))
        )

    async def requeue(self, run_id: str) -> None:
        """To the end of the queue."""
        await self._transaction(
            lambda db: db.execute("UPDATE runs SET place = ? WHERE run_id = ?", (_next_place(db), run_id))
        )

    async def delete_run(self, run_id: str) -> None:
        def delete(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
            db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))

        await self._transaction(delete)

    # events

    async def append(
        self, run_id: str, bodies: list[Event], events_offset: int | None = None, seconds: float | None = None
    ) -> Record:
        """
        Numbers and stores events, and changes the record by them, all or nothing.
        @param bodies events without run_id and seq
        @param events_offset how much of the stage's file is stored with them
        @param seconds of training so far; None leaves the record's
        """

        def add(db: sqlite3.Connection) -> Record:
            stored = _read_run(db, run_id)
            record = stored.record if seconds is None else {**stored.record, "seconds": seconds}
            seq = _last_seq(db, run_id)
            for body in bodies:
                seq += 1
                event = {**body, "run_id": run_id, "seq": seq}
                record = follow(record, event)
                db.execute("INSERT INTO events VALUES (?, ?, ?)", (run_id, seq, jsontext.dump(event)))
            offset = stored.events_offset if events_offset is None else events_offset
            values = (jsontext.dump(record), offset, run_id)
            db.execute("UPDATE runs SET record = ?, events_offset = ? WHERE run_id = ?", values)
            return record

        return await self._transaction(add)

    async def last_seq(self, run_id: str) -> int:
        """-1 before the first. Raises run.not_found."""

        def last(db: sqlite3.Connection) -> int:
            _read_run(db, run_id)
            return _last_seq(db, run_id)

        return await self._transaction(last)

    async def events(self, run_id: str, since: int, limit: int, max_bytes: int) -> list[str]:
        """Stored events as JSON texts, seq >= since, at least one where there is one."""

        def read(db: sqlite3.Connection) -> list[str]:
            rows = db.execute(
                "SELECT event FROM events WHERE run_id = ? AND seq >= ? ORDER BY seq LIMIT ?", (run_id, since, limit)
            )
            texts: list[str] = []
            size = 0
            for (text,) in rows:
                size += len(text.encode("utf-8"))
                if texts and size > max_bytes:
                    break
                texts.append(text)
            return texts

        return await self._transaction(read)

    # artefacts

    async def add_artefact(self, record: dict[str, Any]) -> None:
        values = (record["id"], jsontext.dump(record), record["created"])
        await self._transaction(lambda db: db.execute("INSERT OR IGNORE INTO artefacts VALUES (?, ?, ?)", values))

    async def artefact(self, artefact_id: str) -> dict[str, Any]:
        """Raises artefact.not_found."""
        row = await self._transaction(
            lambda db: db.execute("SELECT record FROM artefacts WHERE id = ?", (artefact_id,)).fetchone()
        )
        if row is None:
            message = f"There is no artefact {artefact_id} on this worker. Upload it, or run the stage that made it."
            raise NagiError("artefact.not_found", message, {"id": artefact_id})
        record: dict[str, Any] = jsontext.parse(row[0])
        return record

    async def artefacts(self) -> list[dict[str, Any]]:
        """Newest first."""
        rows = await self._transaction(
            lambda db: db.execute("SELECT record FROM artefacts ORDER BY created DESC, id").fetchall()
        )
        return [jsontext.parse(text) for (text,) in rows]

    async def delete_artefact(self, artefact_id: str) -> None:
        await self._transaction(lambda db: db.execute("DELETE FROM artefacts WHERE id = ?", (artefact_id,)))

    # events of browser runs, for the trackers

    async def forwarded(self, run_id: str) -> tuple[int, int]:
        """The number of the next event that has not been forwarded, and the bytes that those before it take."""
        row = await self._transaction(
            lambda db: db.execute("SELECT next_seq, bytes FROM forwards WHERE run_id = ?", (run_id,)).fetchone()
        )
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    async def set_forwarded(self, run_id: str, next_seq: int, size: int) -> None:
        values = (run_id, next_seq, size)
        await self._transaction(lambda db: db.execute("INSERT OR REPLACE INTO forwards VALUES (?, ?, ?)", values))


_COLUMNS = "record, command, place, events_offset, devices, continues"


def _as_run(row: tuple[str, str, int, int, str, int]) -> StoredRun:
    record, command, place, offset, devices, continues = row
    return StoredRun(
        jsontext.parse(record), jsontext.parse(command), place, offset, jsontext.parse(devices), bool(continues)
    )


def _read_run(db: sqlite3.Connection, run_id: str) -> StoredRun:
    row = db.execute(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise run_not_found(run_id)
    return _as_run(row)


def _last_seq(db: sqlite3.Connection, run_id: str) -> int:
    (last,) = db.execute("SELECT max(seq) FROM events WHERE run_id = ?", (run_id,)).fetchone()
    return -1 if last is None else int(last)


def _next_place(db: sqlite3.Connection) -> int:
    (last,) = db.execute("SELECT max(place) FROM runs").fetchone()
    return 0 if last is None else int(last) + 1
