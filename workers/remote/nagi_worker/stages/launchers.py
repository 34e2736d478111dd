"""How a stage is started: one process, several on this machine (torchrun, accelerate with DDP, FSDP or DeepSpeed), or ranks
on a Ray cluster. Light to import: the service calls `launch_command`, everything else happens in the process it starts.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

STAGES = "nagi_worker.stages"
#: where rank 0 leaves the stage's exit code: launchers know success and failure only
EXIT_CODE = "stage_exit_code"
#: says that a launcher stands above this process
LAUNCHED = "NAGI_LAUNCHED"

_ACCELERATE = {
    "compute_environment": "LOCAL_MACHINE",
    "debug": False,
    "machine_rank": 0,
    "main_training_function": "main",
    "num_machines": 1,
    "rdzv_backend": "static",
    "same_network": True,
    "use_cpu": False,
}


def launch_command(run_dir: Path, job: dict[str, Any]) -> list[str]:
    """argv that runs the stage of a folder and exits with the stage's code, however many processes it takes."""
    launch = job["launch"]
    alone = launch["num_processes"] == 1 and launch["launcher"] != "ray" and launch["strategy"] == "ddp"
    return [sys.executable, "-m", STAGES if alone else f"{STAGES}.launchers", str(run_dir)]


def stage_command(run_dir: Path, launch: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """(argv, environment) of `launch_command`, for callers that start the process by themselves."""
    return launch_command(run_dir, {"launch": launch}), {**os.environ, "NAGI_RUN_DIR": str(run_dir)}


def accelerate_config(launch: dict[str, Any]) -> dict[str, Any]:
    """accelerate's configuration file for a launch on GPUs (as trl ships them for its examples)."""
    # Trainer's arguments say the precision; the launcher's must not contradict them.
    mixed = {"float16": "fp16", "bfloat16": "bf16"}.get(launch["precision"], "no")
    common = {**_ACCELERATE, "num_processes": launch["num_processes"], "mixed_precision": mixed}
    if launch["strategy"] == "fsdp":
        fsdp = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_activation_checkpointing": False,
            "fsdp_cpu_ram_efficient_loading": True,
            "fsdp_offload_params": False,
            "fsdp_reshard_after_forward": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
        }
        return {**common, "distributed_type": "FSDP", "fsdp_config": fsdp}
    if launch["strategy"] in ("zero2", "zero3"):
        third = launch["strategy"] == "zero3"
        deepspeed: dict[str, Any] = {
            "deepspeed_multinode_launcher": "standard",
            "offload_optimizer_device": "none",
            "offload_param_device": "none",
            "zero3_init_flag": third,
            "zero_stage": 3 if third else 2,
        }
        if third:
            deepspeed["zero3_save_16bit_model"] = True
        return {**common, "distributed_type": "DEEPSPEED", "deepspeed_config": deepspeed}
    kind = "MULTI_GPU" if launch["num_processes"] > 1 else "NO"
    return {**common, "distributed_type": kind, "gpu_ids": "all"}


def inner_command(run_dir: Path, launch: dict[str, Any], cuda: bool) -> list[str]:
    """argv that starts the ranks on this machine; writes accelerate's configuration where it is used."""
    count = launch["num_processes"]
    sharded = launch["strategy"] != "ddp"
    if cuda and (sharded or launch["launcher"] == "accelerate"):
        config = run_dir / "accelerate.json"
        config.write_text(json.dumps(accelerate_config(launch), indent=1), encoding="utf-8")
        accelerate = [sys.executable, "-m", "accelerate.commands.launch"]
        return [*accelerate, "--config_file", str(config), "--module", STAGES, str(run_dir)]
    # `accelerate launch --cpu` makes processes that know nothing of each other: torchrun and gloo there.
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    return [*torchrun, "-m", STAGES, str(run_dir)]


def refuse_on_cpu(launch: dict[str, Any], cuda: bool) -> None:
    """Raises NagiError config.invalid: FSDP and ZeRO spread GPU memory."""
    from ..errors import NagiError

    if cuda or launch["strategy"] == "ddp":
        return
    problem = f"is {launch['strategy']}, which needs GPUs; this machine has none"
    details = {"file": "launch", "path": "launch.strategy", "problem": problem, "allowed": "ddp"}
    raise NagiError("config.invalid", f"launch.strategy {problem}. Choose ddp.", details)


def run_ranks(run_dir: Path, launch: dict[str, Any], cuda: bool) -> int:
    """Runs the ranks on this machine; returns the stage's exit code."""
    environment = {**os.environ, LAUNCHED: "1", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    code = subprocess.run(inner_command(run_dir, launch, cuda), env=environment, check=False).returncode
    return stage_code(run_dir, code)


def stage_code(run_dir: Path, code: int) -> int:
    """The stage's own exit code. Ranks that died without a word were killed: so does this process."""
    if code == 0:
        return int((run_dir / EXIT_CODE).read_text(encoding="ascii"))
    if not (run_dir / "error.json").exists():
        print("no rank reported an error: one of them was killed", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return code


def main(run_dir: Path) -> int:
    """`python -m nagi_worker.stages.launchers RUN_DIR`."""
    import torch

    from .run import report

    job = json.loads((run_dir / "job.json").read_text(encoding="utf-8"))
    for stale in ("error.json", EXIT_CODE):
        (run_dir / stale).unlink(missing_ok=True)
    launch, cuda = job["launch"], torch.cuda.is_available()
    try:
        refuse_on_cpu(launch, cuda)
        if launch["launcher"] == "ray":
            from .ray_launcher import run_on_ray

            return stage_code(run_dir, run_on_ray(run_dir, launch))
        return run_ranks(run_dir, launch, cuda)
    except Exception as error:
        logging.getLogger("nagi.stages").exception("the launch failed")
        report(run_dir, error)
        return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
