/** What the peers' models take in beside ids and weights. */

import type { StepInput } from "../../engine/bench/cases";

/** cos and sin [T,d] of transformers' rotary embedding: the d/2 frequencies twice, side by side. */
export function rotaryTables(T: number, d: number, theta: number): { cos: Float32Array; sin: Float32Array } {
  const angle = (i: number) => Math.floor(i / d) * theta ** (-(2 * (i % (d / 2))) / d);
  return {
    cos: Float32Array.from({ length: T * d }, (_, i) => Math.cos(angle(i))),
    sin: Float32Array.from({ length: T * d }, (_, i) => Math.sin(angle(i))),
  };
}

/** Targets of a text: its ids moved by one, -100 after the last. */
export const shifted = (texts: StepInput["texts"]): Int32Array =>
  Int32Array.from(texts.flatMap((text) => [...text.slice(1), -100]));
