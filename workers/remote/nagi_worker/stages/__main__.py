"""`python -m nagi_worker.stages RUN_DIR`: see job.py for what lies there, and README for exit codes."""

from __future__ import annotations

import sys
from pathlib import Path

from .run import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
