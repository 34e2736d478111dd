"""Whose the base model is, and its licence: written beside everything a stage makes, as the studio writes it
(workers/engine/io/model-card.ts)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .job import Input, Job, write_json

CREDIT = "nagi_credit.json"
CARD = "README.md"
_FIELDS = ("name", "license", "holder", "url")
_OPEN_CALM = re.compile(r"(cyberagent/)?open-calm-", re.IGNORECASE)
_TITLES = {"adapter": "LoRA adapter", "model": "Language model", "reward_model": "Reward model"}
_RELATIONS = {"adapter": "adapter", "model": "finetune", "reward_model": "finetune"}


def credit_of(job: Job) -> dict[str, str | None] | None:
    """The credit of the model at the root of what the stage was given; None where nobody says."""
    given = job.inputs.get("model") or job.inputs.get("adapter")
    while given is not None and given.base is not None:
        given = given.base
    return None if given is None else _credit(given)


def _credit(model: Input) -> dict[str, str | None] | None:
    if model.kind == "hub":
        owner = model.path.split("/")[0]
        calm = _OPEN_CALM.match(model.path) is not None
        return {
            "name": model.path,
            "license": "cc-by-sa-4.0" if calm else None,
            "holder": "CyberAgent, Inc." if calm else owner,
            "url": f"https://huggingface.co/{model.path}",
        }
    try:
        value = json.loads((Path(model.path) / CREDIT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    return {key: value[key] if isinstance(value.get(key), str) else None for key in _FIELDS}


def write_credit(job: Job, kind: str, folder: Path) -> None:
    """README.md and nagi_credit.json for an adapter or a model. Nothing where the base says nothing of itself."""
    credit = credit_of(job)
    if kind not in _TITLES or credit is None:
        return
    write_json(folder / CREDIT, credit)
    (folder / CARD).write_text(_card(credit, kind, job.stage), encoding="utf-8")


def _card(credit: dict[str, str | None], kind: str, stage: dict[str, Any]) -> str:
    name, licence, holder, url = (credit[key] for key in _FIELDS)
    head = [f"license: {licence}"] if licence else []
    if url:
        head += [f"base_model: {name}", f"base_model_relation: {_RELATIONS[kind]}"]
    head += [f"library_name: {'peft' if kind == 'adapter' else 'transformers'}", "tags:", "- nagi"]
    link = f"[{name}]({url})" if url else name
    by = f" by {holder}" if holder else ""
    said = (
        f"Its licence is {licence}."
        if licence
        else "Its licence is not known: ask its authors before you pass this on."
    )
    alike = " What is made of it may be passed on under the same licence only." if "-sa-" in (licence or "") else ""
    lines = [
        "---",
        *head,
        "---",
        "",
        f"# {_TITLES[kind]} on {name}",
        "",
        f"Made with Nagi by a stage of the kind {stage['stage']}.",
        "",
        "## Licence and attribution",
        "",
        f"The base model is {link}{by}. {said}{alike}",
        "",
    ]
    return "\n".join(lines)
