"""A stage that does nothing but keep to the contract, step by step: `python scripted_stage.py RUN_DIR`.

The name of the run's configuration says how it behaves: "gated" takes step k once RUN_DIR/gate holds k or more; "killed",
"fails", "crashes", "bad-event", "pickle", "no-output" do so after their third step.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

TROUBLE_STEP = 3
Control = tuple[str, int]


def safetensors(value: float) -> bytes:
    """One tensor of four numbers; torch would take seconds to load."""
    header = json.dumps({"lora_A": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<4f", *[value] * 4)


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        self.behaviour = self.job["config"]["name"]
        self.total = self.job["stage"]["max_steps"]
        self.events = (folder / "events.jsonl").open("a", encoding="utf-8")
        self.seen = self.control()[1]
        self.state = 0

    def write(self, kind: str, **fields: object) -> None:
        self.events.write(json.dumps({"type": kind, "time": int(time.time() * 1000), **fields}) + "\n")
        self.events.flush()

    def control(self) -> Control:
        path = self.folder / "control"
        return path.read_text(encoding="utf-8"), path.stat().st_mtime_ns

    def checkpoint(self, step: int) -> None:
        target = self.folder / "checkpoints" / f"step-{step}"
        if not target.exists():
            part = target.with_name(f"{target.name}.part")
            part.mkdir(parents=True, exist_ok=True)
            (part / "state.json").write_text(json.dumps({"state": self.state}), encoding="utf-8")
            part.rename(target)
        self.write("checkpoint", step=step, bytes=10)

    def restore(self) -> int:
        steps = [int(path.name[5:]) for path in (self.folder / "checkpoints").glob("step-*") if path.suffix != ".part"]
        if not steps:
            return 0
        step = max(steps)
        saved = self.folder / "checkpoints" / f"step-{step}" / "state.json"
        self.state = json.loads(saved.read_text(encoding="utf-8"))["state"]
        self.write("resumed", step=step)
        return step

    def gate_is_open(self, step: int) -> bool:
        path = self.folder / "gate"
        return self.behaviour != "gated" or (path.exists() and int(path.read_text(encoding="ascii") or 0) >= step)

    def obey(self, step: int) -> None:
        wanted, written = self.control()
        if wanted in ("pause", "stop"):
            self.checkpoint(step)
            sys.exit(10 if wanted == "pause" else 11)
        if wanted == "checkpoint" and written != self.seen:
            self.seen = written
            self.checkpoint(step)

    def run(self) -> None:
        step = self.restore()
        print(f"GPUs: {os.environ['CUDA_VISIBLE_DEVICES']}", flush=True)
        self.write(
            "prepared",
            total_steps=self.total,
            steps_per_epoch=self.total,
            parameters=10,
            trainable_parameters=2,
            train_rows=4,
            validation_rows=2,
            test_rows=0,
            truncated_rows=0,
            baselines=None,
            adapter="scripted",
            gpu_bytes=0,
        )
        while step < self.total:
            while not self.gate_is_open(step + 1):
                self.obey(step)
                time.sleep(0.01)
            step += 1
            # What an uninterrupted run has at this step; a resumed one must have the same.
            self.state = (self.state * 31 + step) % 1009
            self.write("log", step=step, metrics={"loss": 1 / step, "state": self.state})
            print(f"ステップ {step}", flush=True)
            if step == TROUBLE_STEP:
                self.trouble()
            if step % self.job["stage"]["save_steps"] == 0:
                self.checkpoint(step)
            self.obey(step)
        self.write("result", step=step, metrics={"loss": 1 / step}, calibration=[], samples=[], notes=[])
        self.output()

    def trouble(self) -> None:
        if self.behaviour == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.behaviour == "fails":
            error = {"code": "run.diverged", "message": "loss is NaN", "details": {"metric": "loss", "step": 3}}
            (self.folder / "error.json").write_text(json.dumps(error), encoding="utf-8")
            sys.exit(1)
        if self.behaviour == "crashes":
            raise SystemExit("Traceback: it crashed")
        if self.behaviour == "bad-event":
            self.write("log", step="three", metrics={})

    def output(self) -> None:
        if self.behaviour == "no-output":
            return
        output = self.folder / "output"
        output.mkdir()
        if self.behaviour == "pickle":
            (output / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
        (output / "adapter_model.safetensors").write_bytes(safetensors(float(self.state)))
        (output / "adapter_config.json").write_text('{"r": 2}', encoding="utf-8")
        facts = {"kind": "adapter", "metrics": {"train_loss": 0.5}}
        (self.folder / "output.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    Stage(Path(sys.argv[1])).run()
