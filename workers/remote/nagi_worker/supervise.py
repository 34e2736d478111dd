"""
`python -m nagi_worker.supervise RUN_DIR COMMAND...`: waits for a stage and writes how it ended to RUN_DIR/exit.json. It
outlives the service, so that one that was killed finds out what became of its stages. Standard library only.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

EXIT_FILE = "exit.json"
# When memory runs out, the system takes a stage before the service and this process.
_STAGE_OOM_SCORE = "600"


def _offer_to_oom_killer(pid: int) -> None:
    try:
        Path(f"/proc/{pid}/oom_score_adj").write_text(_STAGE_OOM_SCORE, encoding="ascii")
    except OSError:
        return  # not Linux, or over already


def main(arguments: list[str]) -> int:
    folder, command = Path(arguments[0]), arguments[1:]
    # The stage gets the signal as well (one process group) and decides; this process stays to see its end.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error}", file=sys.stderr)
        code = 127
    else:
        _offer_to_oom_killer(child.pid)
        code = child.wait()
    part = folder / f"{EXIT_FILE}.part"
    part.write_text(json.dumps({"code": code}), encoding="ascii")
    part.replace(folder / EXIT_FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
