"""Shared by the Python tests: the repository and the `nagi` command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / "workers" / "remote"))


def nagi(*arguments: str, timeout: float = 600) -> tuple[int, Any, str]:
    """Run `nagi ARGUMENTS`; returns (exit code, parsed stdout or None, stderr)."""
    done = subprocess.run(
        ["node", str(REPOSITORY / ".ci" / "nagi.mjs"), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr
