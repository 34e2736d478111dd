"""Errors as the studio shows them: code, English message, details. The codes are those of src/shared/errors.ts."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

Detail = str | int | float | bool | None
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class NagiError(Exception):
    """An error a user can meet. `message` is complete on its own: it names the place and the way out."""

    def __init__(self, code: str, message: str, details: Mapping[str, Detail] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, Detail] = dict(details or {})

    def to_data(self) -> dict[str, Any]:
        """Plain data, `$defs/error_data` of the schema."""
        return {"code": self.code, "message": self.message, "details": self.details}


def to_error_data(error: BaseException) -> dict[str, Any]:
    """Whatever was raised, as plain data."""
    if isinstance(error, NagiError):
        return error.to_data()
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return {"code": "internal", "message": message, "details": {"message": message}}


def is_disk_full(error: BaseException) -> bool:
    """Also of SQLite, whose error carries no errno."""
    if isinstance(error, OSError):
        return error.errno in FULL_DISK
    return type(error).__name__ == "OperationalError" and "disk is full" in str(error)


def disk_full(what: str, needed: int, available: int | None) -> NagiError:
    """storage.quota {needed, available}, in bytes."""
    message = f"{what}: the worker's disk is full ({needed} bytes needed). Free some space on the worker and try again."
    return NagiError("storage.quota", message, {"needed": needed, "available": available})
