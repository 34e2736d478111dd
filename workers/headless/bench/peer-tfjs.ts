/** The measured model and product in TensorFlow.js on its WebGPU backend, as its users write them. */

import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops";
import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { ADAMW, LEARNING_RATE, type StepCase, type StepInput } from "../../engine/bench/cases";
import type { MatmulCase, MatmulContender, MatmulInput } from "../../engine/bench/matmul.bench";
import type { StepContender } from "../../engine/bench/step.bench";
import { rotaryTables, shifted } from "./tables";

/** Starts its WebGPU backend on navigator.gpu: its own factory asks for the device. */
export async function openTfjs(): Promise<void> {
  if (!(await tf.setBackend("webgpu"))) throw new Error("TensorFlow.js has no WebGPU backend here");
  await tf.ready();
}

function backend(): WebGPUBackend {
  const found = tf.backend();
  if (!(found instanceof WebGPUBackend)) throw new Error("TensorFlow.js does not run on WebGPU");
  return found;
}

/** Sends off what is encoded; without ending the pass results are silently wrong. */
function flush(): void {
  backend().ensureCommandEncoderReady();
  backend().endComputePassEncoder();
  backend().submitQueue();
}

const finished = async () => {
  flush();
  await backend().device.queue.onSubmittedWorkDone();
};

type Variables = ReadonlyMap<string, tf.Variable>;

function pick(variables: Variables, name: string): tf.Variable {
  const found = variables.get(name);
  if (!found) throw new Error(`no parameter ${name}`);
  return found;
}

function layerNorm(x: tf.Tensor, params: Variables, name: string, eps: number): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const normed = x.sub(mean).mul(variance.add(eps).rsqrt());
  return normed.mul(pick(params, `${name}.weight`)).add(pick(params, `${name}.bias`));
}

const linear = (x: tf.Tensor, params: Variables, name: string): tf.Tensor =>
  tf.matMul(x, pick(params, `${name}.weight`), false, true).add(pick(params, `${name}.bias`));

/** [B,heads,T,d] turned by position; cos and sin [T,d]. */
function rotate(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor): tf.Tensor {
  const [first, second] = tf.split(x, 2, -1);
  if (!first || !second) throw new Error("a head splits in two");
  return x.mul(cos).add(tf.concat([second.neg(), first], -1).mul(sin));
}

const gelu = (x: tf.Tensor): tf.Tensor => x.mul(0.5).mul(x.div(Math.SQRT2).erf().add(1));

interface Batch {
  readonly ids: tf.Tensor1D;
  readonly targets: tf.Tensor1D;
  readonly cos: tf.Tensor;
  readonly sin: tf.Tensor;
  /** [T,T]: 0 where a token is seen, very negative where not. */
  readonly mask: tf.Tensor;
}

/** Mean cross-entropy of the targets (negative: not counted). */
function modelLoss(params: Variables, batch: Batch, { config, texts }: StepInput): tf.Scalar {
  const { hidden_size: H, num_attention_heads: heads, layer_norm_eps: eps, vocab_size: V, head_dim: d } = config;
  const B = texts.length;
  const T = texts[0]?.length ?? 0;
  // Tokens in one dimension: products with a weight stay plain matrix products, which is tfjs' faster path.
  let hidden: tf.Tensor = tf.gather(pick(params, "gpt_neox.embed_in.weight"), batch.ids);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `gpt_neox.layers.${layer}.`;
    const normed = layerNorm(hidden, params, `${prefix}input_layernorm`, eps);
    const qkv = linear(normed, params, `${prefix}attention.query_key_value`)
      .reshape([B, T, heads, 3 * d])
      .transpose([0, 2, 1, 3]);
    const [q, k, v] = tf.split(qkv, 3, -1);
    if (!q || !k || !v) throw new Error("qkv splits in three");
    const scores = tf
      .matMul(rotate(q, batch.cos, batch.sin), rotate(k, batch.cos, batch.sin), false, true)
      .mul(d ** -0.5)
      .add(batch.mask);
    const attended = tf
      .matMul(tf.softmax(scores), v)
      .transpose([0, 2, 1, 3])
      .reshape([B * T, H]);
    hidden = hidden.add(linear(attended, params, `${prefix}attention.dense`));
    const second = layerNorm(hidden, params, `${prefix}post_attention_layernorm`, eps);
    const wide = gelu(linear(second, params, `${prefix}mlp.dense_h_to_4h`));
    hidden = hidden.add(linear(wide, params, `${prefix}mlp.dense_4h_to_h`));
  }
  const final = layerNorm(hidden, params, "gpt_neox.final_layer_norm", eps);
  const logits = tf.matMul(final, pick(params, "embed_out.weight"), false, true);
  // Targets below 0 are rows of zeros.
  const hot = tf.oneHot(batch.targets, V);
  return tf
    .logSoftmax(logits)
    .mul(hot)
    .sum()
    .div(-(B * (T - 1)))
    .asScalar();
}

/** The training step: variableGrads, tfjs' own Adam, the decay beside it (there is no AdamW). */
export function tfjsModel(bench: StepCase, input: StepInput): StepContender {
  const { length: T } = bench;
  const { cos, sin } = rotaryTables(T, input.config.head_dim, input.config.rope_theta);
  const variables = new Map(
    [...input.tensors].map(([name, data]) => [
      name,
      tf.variable(tf.tensor(data, [...(input.shapes.get(name) ?? [])]), true, name),
    ]),
  );
  const batch: Batch = {
    ids: tf.tensor1d(Int32Array.from(input.texts.flat()), "int32"),
    targets: tf.tensor1d(shifted(input.texts), "int32"),
    cos: tf.tensor(cos, [T, input.config.head_dim]),
    sin: tf.tensor(sin, [T, input.config.head_dim]),
    mask: tf.tensor(
      Float32Array.from({ length: T * T }, (_, i) => (i % T <= Math.floor(i / T) ? 0 : -1e9)),
      [T, T],
    ),
  };
  const [beta1, beta2] = ADAMW.betas;
  const optimizer = tf.train.adam(LEARNING_RATE, beta1, beta2, ADAMW.eps);
  let last: tf.Scalar | undefined;
  const enqueue = () => {
    last?.dispose();
    last = tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => modelLoss(variables, batch, input));
      for (const variable of variables.values()) variable.assign(variable.mul(1 - LEARNING_RATE * ADAMW.weight_decay));
      optimizer.applyGradients(Object.entries(grads).map(([name, tensor]) => ({ name, tensor })));
      return value;
    });
    flush();
  };
  return {
    name: "tfjs",
    enqueue,
    finished,
    step: async () => {
      enqueue();
      return (await last?.data())?.[0] ?? Number.NaN;
    },
    dispose: () => {
      tf.dispose([...variables.values(), batch.ids, batch.targets, batch.cos, batch.sin, batch.mask]);
      last?.dispose();
      optimizer.dispose();
      flush();
      // Its pool keeps freed buffers for reuse: nobody reuses them any more.
      backend().bufferManager.dispose();
    },
  };
}

/** The product. */
export function tfjsMatmul({ layout }: MatmulCase, input: MatmulInput): MatmulContender {
  const a = tf.tensor2d(input.a, [...input.aShape]);
  const b = tf.tensor2d(input.b, [...input.bShape]);
  const product = () => tf.matMul(a, b, layout === "TN", layout === "NT");
  return {
    name: "tfjs",
    enqueue: () => {
      product().dispose();
      flush();
    },
    finished,
    output: async () => {
      const out = product();
      const data = Float32Array.from(await out.data());
      out.dispose();
      return data;
    },
    dispose: () => {
      tf.dispose([a, b]);
      flush();
      backend().bufferManager.dispose();
    },
  };
}
