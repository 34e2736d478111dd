"""Events as src/shared/protocol/events.ts has them. Only rank 0 writes; what is not finite leaves as null."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Metrics = dict[str, float | None]


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def plain(value: Any) -> Any:
    """JSON without NaN and infinities, whatever numpy or torch left in it."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    return finite(float(value))


class EventWriter:
    """Appends events to RUN_DIR/events.jsonl and hands them to trackers, if there are any."""

    def __init__(self, path: Path, enabled: bool, listeners: Sequence[Any] = ()) -> None:
        self._path, self._enabled, self._listeners = path, enabled, listeners

    def emit(self, kind: str, **fields: Any) -> None:
        if not self._enabled:
            return
        event = {"type": kind, "time": int(time.time() * 1000), **plain(fields)}
        # One write a line: a reader sees whole lines or, at the end, none.
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n")
        for listener in self._listeners:
            listener.event(event)

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
