"""The committed continuations and warper sets are what transformers gives."""

from __future__ import annotations

import json

from conftest import REPOSITORY
from nagi_worker.golden_generate import build

STORED = REPOSITORY / "workers" / "engine" / "golden" / "generate.json"


def test_expectations_are_reproducible() -> None:
    assert build() == json.loads(STORED.read_text(encoding="utf-8"))
