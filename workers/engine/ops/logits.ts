import { placeColumns } from "../kernels/place-columns";
import { type Dims, defineOp, type OpCase, type OpDefinition, step } from "./define";
import { matmulStep } from "./linear";
import { byWidth, product, size } from "./sizes";
import { rowLogits, sideInputs } from "./vocabulary-chunks";

const constant = { differentiable: false } as const;

function defineLogits(name: string, lora: boolean, cases: readonly OpCase[]): OpDefinition {
  const side = Object.fromEntries(
    Object.entries(lora ? sideInputs : {}).map(([key, one]) => [key, { ...one, ...constant }]),
  );
  return defineOp({
    name,
    inputs: { h: { dims: ["R", "H"], ...constant }, weight: { dims: ["V", "H"], ...constant }, ...side },
    outputs: { y: { dims: ["R", "V"], ...constant } },
    scratch: { columns: { dims: [product("R", "V")] } },
    forward: [
      matmulStep(
        "NT",
        { a: "h", b: "weight", out: "columns" },
        { M: "R", N: "V", K: "H" },
        { byParts: { weight: "H", columns: "R" } },
      ),
      ...(lora
        ? [
            matmulStep(
              "NT",
              { a: "z", b: "lora_b", out: "columns" },
              { M: "R", N: "V", K: "K" },
              { byParts: { lora_b: "K", columns: "R" }, add: true },
            ),
          ]
        : []),
      step(
        byWidth(placeColumns, ["V", "whole", "first"]),
        { x: "columns", y: "y" },
        { R: "R", N: "V", W: "whole", first: "first" },
        { byParts: { columns: "R" } },
      ),
    ],
    reference: (inputs, dims: Dims) => {
      const [R, V] = [size(dims, "R"), size(dims, "V")];
      const y = new Float64Array(R * V);
      for (let r = 0; r < R; r++) y.set(rowLogits(inputs, dims, r), r * V);
      return { y };
    },
    cases,
  });
}

/**
 * Logits y [R, V] = h [R, H] · weightᵀ of an output matrix [V, H] (f32 or f16) that is stored in parts: each part makes the
 * columns of its rows. For generation and for looking at logits; it has no gradient. In one piece, `linear` does it.
 */
export const logits = defineLogits("logits", false, [
  { dims: { R: 3, H: 7, V: 203, part: 128 } },
  { dims: { R: 5, H: 12, V: 300, part: 128 } },
  { dims: { R: 6, H: 8, V: 296, part: 128 }, elements: { weight: "f16" } },
]);

/** As `logits` with a LoRA side branch: + z [R, K] · lora_b [V, K], transposed. */
export const logitsLora = defineLogits("logitsLora", true, [
  { dims: { R: 3, H: 5, V: 203, K: 2, part: 128 } },
  { dims: { R: 6, H: 8, V: 260, K: 4, part: 128 }, elements: { weight: "f16" } },
]);
