"""The worker's PPO against the same golden numbers as the browser's (workers/engine/golden/rl.json, rl.safetensors)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from conftest import REPOSITORY
from safetensors.torch import load_file

from nagi_worker import golden_rl
from nagi_worker.stages import rl
from nagi_worker.stages.policy import Completion, Policy
from nagi_worker.stages.ppo_update import Learner, micro_batches, minibatches, update_policy
from nagi_worker.stages.rng import Random
from nagi_worker.stages.rollout import Rollout, ScoredTexts, Tools, weigh

GOLDEN = REPOSITORY / "workers" / "engine" / "golden"
NUMBERS = json.loads((GOLDEN / "rl.json").read_text(encoding="utf-8"))
MATHEMATICS = NUMBERS["mathematics"]


def tensor(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def close(found: torch.Tensor, expected: list[float], tolerance: float = 1e-12) -> bool:
    wanted = tensor(expected)
    return found.shape == wanted.shape and bool(((found - wanted).abs() <= tolerance * (1 + wanted.abs())).all())


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_the_pure_functions_are_trls(estimator: str) -> None:
    expected, settings = MATHEMATICS["estimators"][estimator], MATHEMATICS["ppo"]
    starts = rl.starts_of(MATHEMATICS["lengths"])
    logprobs, values = tensor(MATHEMATICS["logprobs"]), tensor(MATHEMATICS["values"])
    kl = rl.token_kl(estimator, logprobs, tensor(MATHEMATICS["reference"]))
    assert close(kl, expected["kl"])
    assert float(rl.text_sums(kl, starts).mean()) == pytest.approx(expected["objective/kl"], rel=1e-12)
    rewards = rl.token_rewards(kl, settings["kl_coef"], tensor(MATHEMATICS["scores"]), starts)
    assert close(rewards, expected["rewards"])
    whitened = rl.whiten(rewards, shift_mean=False)
    assert close(whitened, expected["whitened_rewards"])
    advantages, returns = rl.advantages_of(whitened, values, starts, settings["gamma"], settings["lam"])
    assert close(advantages, expected["advantages"]) and close(returns, expected["returns"])
    assert close(rl.whiten(advantages), expected["whitened_advantages"])
    assert rl.explained_variance(values, returns) == pytest.approx(expected["explained_variance"], rel=1e-12)


def test_scores_and_their_running_moments() -> None:
    shape = MATHEMATICS["score_shape"]
    moments = (
        rl.Moments().with_batch(tensor(MATHEMATICS["earlier_scores"])).with_batch(tensor(MATHEMATICS["raw_scores"]))
    )
    assert moments.deviation == pytest.approx(MATHEMATICS["deviation"], rel=1e-12)
    assert rl.Moments(**asdict(moments)) == moments
    shaped = rl.shape_scores(
        tensor(MATHEMATICS["raw_scores"]),
        MATHEMATICS["finished"],
        baseline=shape["reward_baseline"],
        scale=moments.deviation,
        clip=shape["reward_clip"],
        penalty=shape["missing_eos_penalty"],
    )
    assert close(shaped, MATHEMATICS["scores"])


def test_the_adaptive_coefficient() -> None:
    controller, coefficient = MATHEMATICS["controller"], MATHEMATICS["ppo"]["kl_coef"]
    for step in controller["steps"]:
        coefficient = rl.adapt_kl_coef(
            coefficient,
            kl=step["kl"],
            target=controller["target"],
            texts=controller["texts"],
            horizon=controller["horizon"],
        )
        assert coefficient == pytest.approx(step["coefficient"], rel=1e-12)


def test_losses_and_statistics_of_a_minibatch() -> None:
    update, settings = MATHEMATICS["update"], MATHEMATICS["ppo"]
    inputs = {key: tensor(value) for key, value in update["inputs"].items()}
    new = {key: inputs[key] for key in ("logprobs", "values", "entropies")}
    old = {"logprobs": inputs["old_logprobs"], "values": inputs["old_values"]}
    old |= {key: inputs[key] for key in ("advantages", "returns")}
    count = len(inputs["logprobs"])
    found = rl.ppo_losses(new, old, settings["cliprange"], settings["cliprange_value"], count)
    assert {key: value.item() for key, value in found.items()} == pytest.approx(update["stats"], rel=1e-12)
    # In two halves, as on two ranks or in two micro-batches.
    halves = [
        rl.ppo_losses(
            {key: value[part] for key, value in new.items()},
            {key: value[part] for key, value in old.items()},
            settings["cliprange"],
            settings["cliprange_value"],
            count,
        )
        for part in (slice(0, 7), slice(7, None))
    ]
    sums = {key: sum(half[key].item() for half in halves) for key in found}
    assert sums == pytest.approx(update["stats"], rel=1e-12)


def golden_policy() -> Policy:
    """The worker's policy with the golden model's weights, in float64."""
    golden = golden_rl.Policy()
    policy = Policy(golden.model, NUMBERS["ppo"]["temperature"]).double()
    policy.value.weight.data.copy_(golden.summary.weight.data)
    policy.value.bias.data.copy_(golden.summary.bias.data)
    return policy


@pytest.mark.parametrize("micro_batch", [10_000, 9])
def test_whole_updates_are_the_golden_ones(micro_batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rollout figures, losses of every epoch, gradient norms and the weights afterwards. @param micro_batch in tokens"""
    monkeypatch.setattr("nagi_worker.stages.ppo_update.MICRO_BATCH_TOKENS", micro_batch)
    golden, tensors = NUMBERS["ppo"], load_file(GOLDEN / "rl.safetensors")
    policy = golden_policy()
    completions = [Completion(ids, prompt) for ids, prompt in zip(golden["ids"], golden["prompts"], strict=True)]
    texts = ScoredTexts(completions, tensor(golden["scores"]), [True] * len(completions), [])
    stage: dict[str, Any] = {
        **golden,
        "num_mini_batches": 1,
        "kl_estimator": "k3",
        "reward_scaling": False,
        "reward_clip": 0,
        "missing_eos_penalty": None,
        "whiten_rewards": False,
        "max_grad_norm": golden["optimizer"]["max_grad_norm"],
    }
    ids = SimpleNamespace(pad_id=1, eos_id=0)
    tools = Tools(policy, SimpleNamespace(), ids, torch.device("cpu"))
    rollout = weigh(tools, texts, stage, kl_coef=golden["kl_coef"], baseline=0.0, moments=rl.Moments())
    for key in ("logprobs", "values", "returns", "advantages"):
        assert torch.allclose(rollout.tokens[key], tensors[f"ppo.{key}"].double(), rtol=1e-5, atol=1e-6), key
    assert rollout.kl == pytest.approx(float(rl.text_sums(tensors["ppo.kl"].double(), rollout.starts).mean()), rel=1e-5)
    settings = golden["optimizer"]
    parameters = list(policy.trained().values())
    optimizer = torch.optim.AdamW(
        parameters,
        lr=settings["learning_rate"],
        betas=tuple(settings["betas"]),
        eps=settings["eps"],
        weight_decay=settings["weight_decay"],
    )
    learner = Learner(Accelerator(cpu=True), policy, optimizer, parameters, 1)
    norms: list[float] = []
    result = update_policy(
        learner,
        rollout,
        stage,
        learning_rate=settings["learning_rate"],
        seed=1,
        diverged=lambda metric: ValueError(metric),
    )
    for found, epoch in zip(result.stats, golden["epochs"], strict=True):
        expected = {key: epoch[key] for key in found}
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
        norms.append(epoch["grad_norm"])
    assert result.grad_norm == pytest.approx(math.fsum(norms) / len(norms), rel=1e-6)
    for name, parameter in policy.trained().items():
        expected = tensors[f"ppo.after.{name}"].double()
        assert torch.allclose(parameter.detach(), expected, rtol=1e-4, atol=1e-6), name


class Overflowing:
    """An optimizer whose step may have been left out, as accelerate's says."""

    def __init__(self, parameters: list[torch.nn.Parameter], skipped: bool) -> None:
        self.parameters, self.step_was_skipped = parameters, skipped
        self.param_groups: list[dict[str, Any]] = [{}]

    def step(self) -> None:
        """Nothing: the gradient is not finite."""

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None


@pytest.mark.parametrize("skipped", [True, False])
def test_a_step_that_float16_leaves_out_is_no_divergence(skipped: bool) -> None:
    """GradScaler begins with a scale that overflows: such steps are skipped, the next ones are taken."""
    golden, policy = NUMBERS["ppo"], golden_policy()
    completions = [Completion(ids, prompt) for ids, prompt in zip(golden["ids"], golden["prompts"], strict=True)]
    starts = rl.starts_of([len(one.chosen) for one in completions])
    keys = ("logprobs", "values", "returns", "advantages")
    zeros = {key: torch.zeros(starts[-1], dtype=torch.float64) for key in keys}
    texts = ScoredTexts(completions, torch.zeros(len(completions)), [True] * len(completions), [])
    rollout = Rollout(texts, starts, zeros, 0.0, rl.Moments(), {})
    stage = {**golden, "num_mini_batches": 1, "max_grad_norm": 1}
    parameters = list(policy.trained().values())
    parameters[0].register_hook(lambda gradient: gradient * float("inf"))
    learner = Learner(Accelerator(cpu=True), policy, Overflowing(parameters, skipped), parameters, 1)
    rules = {"learning_rate": 0.1, "seed": 1, "diverged": ValueError}
    if skipped:
        assert update_policy(learner, rollout, stage, **rules).grad_norm is None
    else:
        with pytest.raises(ValueError, match="grad_norm"):
            update_policy(learner, rollout, stage, **rules)


def test_minibatches_hold_every_text_once_and_micro_batches_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = minibatches(10, 3, Random.seeded(1))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert sorted(text for part in parts for text in part) == list(range(10))
    monkeypatch.setattr("nagi_worker.stages.ppo_update.MICRO_BATCH_TOKENS", 12)
    completions = [Completion([1] * length, 1) for length in (3, 6, 4, 20, 2)]
    groups = micro_batches(range(5), completions)
    assert groups == [[0, 1], [2], [3], [4]]


def test_the_reference_is_the_policy_without_its_adapter() -> None:
    policy = golden_policy().eval()
    inputs = {"input_ids": torch.tensor([[5, 9, 3, 0]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    chosen = torch.tensor([[False, True, True]])
    with torch.no_grad():
        reference = policy(**inputs, chosen=chosen, adapter=False)["logprobs"]
        adapted = policy(**inputs, chosen=chosen)["logprobs"]
        base = policy.model.unload()
        logits = base(**inputs).logits[0, 1:3] / policy.temperature
    plain = logits.log_softmax(-1).gather(-1, torch.tensor([[3], [0]])).squeeze(-1)
    assert torch.allclose(reference, plain, atol=1e-12)
    assert not torch.allclose(adapted, plain, atol=1e-3)
