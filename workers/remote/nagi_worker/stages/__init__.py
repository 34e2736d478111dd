"""The stages of a pipeline on PyTorch: `python -m nagi_worker.stages RUN_DIR` runs the one of RUN_DIR/job.json."""

import os

# Before any library is imported: a stage asks the network for nothing but a hub model, and reports nowhere by itself.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
