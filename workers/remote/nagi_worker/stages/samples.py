"""Texts that a model in training writes at its evaluations: the same prompts and random numbers every time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accelerate import PartialState

from .generate import Decoding, generate, uniforms
from .prompts import Prompt, draw_prompts, written_text
from .rng import stream
from .texts import Texts
from .training import Context

#: enough for a reader to see, few enough not to hold an evaluation up
NEW_TOKENS = 64


class TextSamples:
    """@param before what SFT's template puts before a text"""

    def __init__(
        self, context: Context, trainer: Any, texts: Texts, sentences: Sequence[str], before: str = ""
    ) -> None:
        self._context, self._trainer, self._texts = context, trainer, texts
        stage, seed = context.job.stage, context.job.seed
        ahead = texts.encode(before) if before else []
        drawn = draw_prompts(texts, sentences, stage["prompt"], stage["sample_texts"], stream(seed, "samples"))
        self._prompts = [Prompt(before + one.text, [*ahead, *one.ids]) for one in drawn]

    def write(self, step: int) -> None:
        """Emits the samples of a step. A model that is spread over ranks (FSDP, ZeRO-3) writes none."""
        trainer = self._trainer
        if not self._prompts or trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
            return
        if PartialState().is_main_process:
            model, texts = trainer.accelerator.unwrap_model(trainer.model), self._texts
            decoding = Decoding(NEW_TOKENS, 1.0)
            continuations = generate(
                model,
                [prompt.ids for prompt in self._prompts],
                decoding,
                uniforms(len(self._prompts), NEW_TOKENS, self._context.job.seed),
                eos_id=texts.eos_id,
                pad_id=texts.pad_id,
                positions=model.config.max_position_embeddings,
            )
            written = [
                {
                    "prompt": prompt.text,
                    "text": written_text(texts, prompt, one.ids)[1],
                    "reward": None,
                    "tokens": len(one.ids),
                    "finished": one.finished,
                }
                for prompt, one in zip(self._prompts, continuations, strict=True)
            ]
            self._context.events.emit("samples", step=step, texts=written)
        PartialState().wait_for_everyone()
