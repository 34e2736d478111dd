"""The evaluate stage: the beginnings of held-out texts are continued by several models with the same settings and random
numbers, and judged by reward models. One model is in memory at a time; the first, which the others are held against, comes
last, so that it also says how likely it finds what the others wrote.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from ..errors import NagiError
from .adapters import attach_adapter
from .control import PAUSE, STOP
from .data import job_rows
from .events import Metrics, plain
from .generate import Continuation, Decoding
from .job import FINISHED, PAUSED, STOPPED, Input
from .models import DTYPES, check_launch, draw_weights, folder_of, load_causal, parameter_count, read_config
from .policy import Completion, pad_completions
from .prompts import draw_prompts, written_text
from .rl import distinct2
from .rng import Random, seed_of, stream
from .rollout import MEASURED, continue_prompts
from .saving import finish_output
from .scoring import RewardModel
from .sharing import device_name, map_shared
from .texts import Texts
from .training import Context, diverged

#: of the last model, in the `samples` event
SHOWN = 8
RESAMPLES = 10_000


@dataclass
class Written:
    model: str
    continuations: list[Continuation]
    #: log-probability of each continuation under the model itself, and under the first
    own: list[float]
    first: list[float] | None = None


def load_side(source: Input, dtype: torch.dtype, launch: dict[str, Any]) -> Any:
    """A model as a slot names it; an adapter stays beside its base."""
    if source.kind != "adapter":
        return load_causal(source, dtype, launch)
    if source.base is None:
        details = {"name": source.path, "kind": source.kind, "accepts": "model"}
        raise NagiError("artefact.wrong_kind", f"{source.path} is an adapter, and its model was not given.", details)
    return attach_adapter(load_causal(source.base, dtype, launch), folder_of(source))


def completion_logps(model: Any, completions: Sequence[Completion], pad_id: int, device: torch.device) -> list[float]:
    """Log-probability in nats of every continuation under the plain softmax, EOS included where it was written."""
    model.eval()

    def work(batch: Sequence[Completion]) -> list[float]:
        inputs = pad_completions(batch, pad_id, device)
        chosen = inputs.pop("chosen")
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        states = causal.gpt_neox(**inputs, use_cache=False).last_hidden_state[:, :-1][chosen]
        logprobs = causal.lm_head(states).float().log_softmax(-1)
        targets = inputs["input_ids"][:, 1:][chosen]
        values = logprobs.gather(-1, targets[:, None]).squeeze(-1).double().cpu()
        return [float(one.sum()) for one in values.split([len(text.chosen) for text in batch])]

    # A continuation may be empty where the prompt filled the model's positions.
    asked = [one for one in completions if one.chosen]
    found = iter(map_shared(asked, MEASURED, work) if asked else [])
    return [next(found) if one.chosen else 0.0 for one in completions]


def bootstrap_interval(values: Sequence[float], seed: int) -> tuple[float, float] | None:
    """95 % of the mean by resampling prompts, with the studio's random numbers (src/shared/stats/bootstrap.ts)."""
    count = len(values)
    if count < 2 or not np.isfinite(values).all():
        return None
    random = Random.seeded(seed, 1)
    drawn = np.array([random.below(count) for _ in range(RESAMPLES * count)]).reshape(RESAMPLES, count)
    means = np.asarray(values, dtype=np.float64)[drawn].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def comparison(key: str, judge: str, first: list[dict[str, Any]], last: list[dict[str, Any]], seed: int) -> Metrics:
    before, after = ([line["rewards"][judge] for line in lines] for lines in (first, last))
    differences = [b - a for a, b in zip(before, after, strict=True)]
    interval = bootstrap_interval(differences, seed)
    return {
        f"{key}_sft_mean": mean(before),
        f"{key}_rlhf_mean": mean(after),
        f"{key}_difference": mean(differences),
        f"{key}_difference_ci95_low": interval[0] if interval else None,
        f"{key}_difference_ci95_high": interval[1] if interval else None,
    }


def evaluation_figures(
    models: list[tuple[str, list[dict[str, Any]], list[list[int]]]], judges: list[str], seed: int
) -> Metrics:
    """Figures of every model, and of the last against the first: "sft" is the first, "rlhf" the last (evaluation.ts).

    @param models name, lines of generations.jsonl, and new tokens without EOS
    """
    (_, first, first_ids), (last_name, last, last_ids) = models[0], models[-1]
    metrics: Metrics = {"prompts": len(first)}
    for name, lines, ids in models:
        for judge in judges:
            metrics[f"{name}/{judge}_mean"] = mean([line["rewards"][judge] for line in lines])
        metrics[f"{name}/kl_nats"] = mean([line["kl"] for line in lines])
        metrics[f"{name}/length_mean"] = mean([line["length"] for line in lines])
        metrics[f"{name}/tokens_mean"] = mean([line["tokens"] for line in lines])
        metrics[f"{name}/finished"] = mean([float(line["finished"]) for line in lines])
        metrics[f"{name}/distinct2"] = distinct2(ids)
    if len(models) == 1:
        return metrics
    for key, judge in zip(("reward", "holdout_reward"), judges, strict=False):
        metrics.update(comparison(key, judge, first, last, seed))
    metrics["kl_nats"] = metrics[f"{last_name}/kl_nats"]
    before, after = distinct2(first_ids), distinct2(last_ids)
    metrics["distinct2_ratio"] = after / before if before and after is not None else None
    return metrics


class EvaluateStage:
    def __init__(self, context: Context) -> None:
        self.context, self.job, self.stage = context, context.job, context.job.stage
        job, stage = self.job, self.stage
        check_launch(job.launch)
        self.device = PartialState().device
        self.dtype = DTYPES[job.launch["precision"]]
        self.sources = [job.input(f"models.{index}") for index in range(len(stage["models"]))]
        folder = folder_of(self.sources[0].base or self.sources[0])
        self.texts, config = Texts(folder), read_config(folder)
        self.vocabulary = config.vocab_size
        self.sentences = [row.sentence for row in job_rows(job, stage["split"], both_labels=False)]
        random = stream(job.seed, "prompts")
        self.prompts = draw_prompts(self.texts, self.sentences, stage["prompt"], stage["num_prompts"], random)
        if not self.prompts:
            name = job.data_name(stage["split"])
            raise NagiError("data.empty", f"{name}: no text has a beginning to go on from.", {"file": name})
        self.written: dict[int, Written] = {}
        self.tokens, self.seconds = 0, 0.0

    def run(self) -> int:
        """Returns FINISHED, PAUSED or STOPPED. A pause gives up what was written; the same numbers write it again."""
        for number, index in enumerate(reversed(range(len(self.sources)))):
            wanted = self.context.control.wanted()
            if wanted in (PAUSE, STOP):
                return PAUSED if wanted == PAUSE else STOPPED
            model = self._load(index)
            if number == 0:
                self._say_prepared(parameter_count(model))
            self._one_model(index, model)
        self._conclude()
        return FINISHED

    def _load(self, index: int) -> Any:
        model = load_side(self.sources[index], self.dtype, self.job.launch)
        if self.stage["models"][index] == "base" and self.job.config["model"]["init"] == "random":
            draw_weights(model, self.job.seed)
        return model if self.job.launch["quantization"] else model.to(self.device)

    def _say_prepared(self, parameters: int) -> None:
        split, count = self.stage["split"], len(self.sentences)
        self.context.events.emit(
            "prepared", total_steps=len(self.prompts) * len(self.sources), steps_per_epoch=len(self.prompts),
            parameters=parameters, trainable_parameters=0, train_rows=0,
            validation_rows=count if split == "validation" else 0, test_rows=count if split == "test" else 0,
            truncated_rows=0, baselines=None, adapter=device_name(), gpu_bytes=0,
        )  # fmt: skip

    def _one_model(self, index: int, model: Any) -> None:
        """Writes with one model, measures how likely it finds its own texts, and if it is the first the others' as well."""
        generation = self.stage["generation"]
        decoding = Decoding(
            generation["max_new_tokens"], generation["temperature"], generation["top_k"], generation["top_p"]
        )
        begun = time.monotonic()
        seed = seed_of(self.job.seed, "samples", 0)
        continuations = continue_prompts(model, self.texts, self.prompts, decoding, seed)
        seconds = time.monotonic() - begun
        name = self.stage["models"][index]
        self.written[index] = Written(name, continuations, self._logps(model, continuations))
        if index == 0:
            for which, other in self.written.items():
                # Tokens of another vocabulary mean something else to the first model.
                if which == 0:
                    other.first = other.own
                elif (
                    read_config(folder_of(self.sources[which].base or self.sources[which])).vocab_size
                    == self.vocabulary
                ):
                    other.first = self._logps(model, other.continuations)
        tokens = sum(len(one.ids) for one in continuations)
        self.tokens += tokens
        self.seconds += seconds
        step = len(self.prompts) * len(self.written)
        metrics = {"num_tokens": self.tokens, "tokens_per_second": tokens / seconds if seconds > 0 else None}
        self.context.events.emit("log", step=step, metrics=metrics)

    def _logps(self, model: Any, continuations: Sequence[Continuation]) -> list[float]:
        pairs = zip(self.prompts, continuations, strict=True)
        completions = [Completion([*prompt.ids, *one.ids], len(prompt.ids)) for prompt, one in pairs]
        return completion_logps(model, completions, self.texts.pad_id, self.device)

    def _lines(
        self, written: Written, rewards: dict[str, list[float]], texts: list[tuple[str, str]]
    ) -> list[dict[str, Any]]:
        return [
            {
                "item": item,
                "prompt": prompt.text,
                "model": written.model,
                "text": texts[item][1],
                "tokens": len(one.ids),
                "finished": one.finished,
                "rewards": {judge: values[item] for judge, values in rewards.items()},
                "kl": None if written.first is None else written.own[item] - written.first[item],
                "length": len(texts[item][1]),
            }
            for item, (prompt, one) in enumerate(zip(self.prompts, written.continuations, strict=True))
        ]

    def _conclude(self) -> None:
        ordered = [self.written[index] for index in sorted(self.written)]
        texts = [self._texts_of(one) for one in ordered]
        rewards = self._rewards([whole for some in texts for whole, _ in some])
        models, count = [], len(self.prompts)
        for which, one in enumerate(ordered):
            own = {judge: values[which * count : (which + 1) * count] for judge, values in rewards.items()}
            ids = [some.ids[:-1] if some.finished else some.ids for some in one.continuations]
            models.append((one.model, self._lines(one, own, texts[which]), ids))
        metrics = evaluation_figures(models, self.stage["reward_models"], self.job.config["seed"])
        step = count * len(models)
        for key, value in metrics.items():
            if value is not None and not np.isfinite(value):
                raise diverged(self.context.events, step, key)
        self.context.events.emit("eval", step=step, metrics=metrics)
        lines = [line for _, some, _ in models for line in some]
        finish_output(self.job, "generations", lambda folder: write_evaluation(folder, lines, metrics), metrics)
        self._show(models[-1][1], step)
        result: Metrics = {**metrics, "seed": self.job.seed}
        self.context.events.emit("result", step=step, metrics=result, calibration=[], samples=[], notes=[])

    def _texts_of(self, written: Written) -> list[tuple[str, str]]:
        pairs = zip(self.prompts, written.continuations, strict=True)
        return [written_text(self.texts, prompt, one.ids) for prompt, one in pairs]

    def _rewards(self, texts: list[str]) -> dict[str, list[float]]:
        """By reward model: the rewards of all texts."""
        judged: dict[str, list[float]] = {}
        for index, judge in enumerate(self.stage["reward_models"]):
            model = RewardModel(self.job.input(f"reward_models.{index}"), self.dtype, self.device)
            judged[judge] = model.score(texts)
        return judged

    def _show(self, lines: list[dict[str, Any]], step: int) -> None:
        judges = self.stage["reward_models"]
        shown = [
            {
                "prompt": line["prompt"],
                "text": line["text"],
                "reward": line["rewards"][judges[0]] if judges else None,
                "tokens": line["tokens"],
                "finished": line["finished"],
            }
            for line in lines[:SHOWN]
        ]
        self.context.events.emit("samples", step=step, texts=shown)


def write_evaluation(folder: Path, lines: list[dict[str, Any]], metrics: Metrics) -> None:
    """generations.jsonl and evaluation.json."""
    text = "".join(json.dumps(plain(line), ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
    (folder / "generations.jsonl").write_text(text, encoding="utf-8")
    (folder / "evaluation.json").write_text(json.dumps(plain(metrics), indent=2) + "\n", encoding="utf-8")


def run_evaluate(context: Context) -> int:
    """Runs the stage. Returns FINISHED, PAUSED or STOPPED."""
    return EvaluateStage(context).run()
