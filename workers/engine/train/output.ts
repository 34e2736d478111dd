/** What stages that train language models leave: an adapter in PEFT's layout, or a model in Hugging Face's. */
import { BASE_SLOT, type LoraConfig, type RunConfig } from "../../../src/shared/protocol/config";
import type { FloatDtype } from "../io/dtype";
import { saveModel } from "../io/hf-model";
import { type CardFacts, creditFiles } from "../io/model-card";
import { saveAdapter } from "../io/peft";
import type { Tensors } from "../io/tensors";
import { neoxParameterShapes } from "../model/shapes";
import type { BaseDescription } from "./base";

/** GPTNeoXForCausalLM. `tensors` by Hugging Face name; others are left out. Rejects with RangeError where one is missing. */
export async function languageModelFiles(
  base: BaseDescription,
  tensors: Tensors,
  change: Pick<CardFacts, "kind" | "change">,
  dtype: FloatDtype = "F32",
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const written = [...neoxParameterShapes(base.config, { kind: "causal-lm" })].map(([name, shape]) => {
    const data = tensors.get(name);
    if (!data) throw new RangeError(`there is no tensor ${name}`);
    return { name, shape, data };
  });
  const files = await saveModel({
    configJson: base.configJson,
    architecture: "GPTNeoXForCausalLM",
    padTokenId: base.config.pad_token_id ?? base.tokenizer.padId,
    tensors: written,
    tokenizerFiles: base.tokenizerFiles,
    dtype,
  });
  return new Map([...files, ...creditFiles({ credit: base.credit, ...change })]);
}

/** The adapter of a trained language model. @param slot what the stage's `model` says: PEFT shows the base by it. */
export function adapterFiles(
  base: BaseDescription,
  tensors: ReadonlyMap<string, Float32Array>,
  lora: LoraConfig,
  { slot, run }: { readonly slot: string; readonly run: RunConfig },
): Map<string, Uint8Array<ArrayBuffer>> {
  const { credit } = base;
  const named = credit.url === null ? run.model.model_name_or_path : credit.name;
  const files = saveAdapter({
    lora,
    head: { kind: "causal-lm" },
    tensors,
    model: base.config,
    base_model_name_or_path: slot === BASE_SLOT ? named : slot,
  });
  const change = `Trained with LoRA (r = ${lora.r}, lora_alpha = ${lora.lora_alpha}).`;
  return new Map([...files, ...creditFiles({ credit, kind: "adapter", change })]);
}
