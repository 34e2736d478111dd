"""peft loads what Nagi's writer saves (workers/engine/io/fixtures/saved-adapter-*) and computes the golden numbers with it.

The folders are the writer's own output: workers/engine/io/peft.test.ts holds the writer to these bytes, and
workers/headless/verify.gpu.test.ts holds the engine to the same golden logits and scores.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

GOLDEN = REPOSITORY / "workers" / "engine" / "golden"
FIXTURES = REPOSITORY / "workers" / "engine" / "io" / "fixtures"
CASES = [
    ("lora-all-targets", "saved-adapter-lm", AutoModelForCausalLM, "logits"),
    ("lora-reward", "saved-adapter-reward", AutoModelForSequenceClassification, "scores"),
]


def output(model: torch.nn.Module, case: Path) -> torch.Tensor:
    description = json.loads((case / "case.json").read_text())
    ids, mask = (torch.tensor(description[key]) for key in ("input_ids", "attention_mask"))
    with torch.no_grad():
        found = model.double().eval()(input_ids=ids, attention_mask=mask).logits
    return found * mask[..., None] if found.dim() == 3 else found


@pytest.mark.parametrize(("golden", "fixture", "kind", "name"), CASES, ids=lambda value: str(value))
def test_peft_loads_our_adapter(golden: str, fixture: str, kind: type, name: str) -> None:
    case = GOLDEN / golden
    labels = {} if kind is AutoModelForCausalLM else {"num_labels": 1}
    base = kind.from_pretrained(case / "model", dtype=torch.float32, **labels)
    expected = load_file(case / "expected.safetensors")[name]
    plain = output(base, case).float()
    assert (plain - expected).abs().max() > 0.05  # the adapter matters
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing key is a warning
        model = PeftModel.from_pretrained(base, FIXTURES / fixture)
    stored = load_file(FIXTURES / fixture / "adapter_model.safetensors")
    # Every stored tensor has arrived in the model.
    state = {key.replace(".modules_to_save.default", "").replace(".default", ""): value for key, value in model.state_dict().items()}
    for key, value in stored.items():
        torch.testing.assert_close(state[key].float(), value, rtol=0, atol=0, msg=key)
    torch.testing.assert_close(output(model, case).float(), expected, rtol=0, atol=1e-5)
