/** The measured model and product in jax-js, as its users write them: pure functions under jit, numpy and nn operations. */

import { blockUntilReady, defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import { ADAMW, LEARNING_RATE, type StepCase, type StepInput } from "../../engine/bench/cases";
import type { MatmulCase, MatmulContender, MatmulInput } from "../../engine/bench/matmul.bench";
import type { StepContender } from "../../engine/bench/step.bench";
import { addIteratorHelpers } from "./iterator-helpers";
import { rotaryTables, shifted } from "./tables";

type Tensors = { [name: string]: np.Array };

/** Starts the WebGPU backend on navigator.gpu. @throws Error where jax-js finds none. */
export async function openJax(): Promise<void> {
  addIteratorHelpers();
  const devices = await init("webgpu");
  if (!devices.includes("webgpu")) throw new Error("jax-js found no WebGPU device");
  defaultDevice("webgpu");
}

const tensor = (data: Float32Array | Int32Array, shape: readonly number[]): np.Array =>
  np.array(data instanceof Int32Array ? Int32Array.from(data) : Float32Array.from(data), { shape: [...shape] });

function pick(tensors: Tensors, name: string): np.Array {
  const found = tensors[name];
  if (!found) throw new Error(`no parameter ${name}`);
  return found;
}

function layerNorm(x: np.Array, params: Tensors, name: string, eps: number): np.Array {
  const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
  const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
  const normed = np.divide(centred, np.sqrt(variance.add(eps)));
  return normed.mul(pick(params, `${name}.weight`)).add(pick(params, `${name}.bias`));
}

const linear = (x: np.Array, params: Tensors, name: string): np.Array =>
  np.matmul(x, np.transpose(pick(params, `${name}.weight`))).add(pick(params, `${name}.bias`));

/** [B,T,heads,d] turned by position; cos and sin [1,T,1,d]. */
function rotate(x: np.Array, cos: np.Array, sin: np.Array): np.Array {
  const [first, second] = np.split(x.ref, 2, -1);
  if (!first || !second) throw new Error("a head splits in two");
  return x.mul(cos).add(np.concatenate([second.neg(), first], -1).mul(sin));
}

/** Mean cross-entropy of targets [B,T] (negative: not counted) given ids [B,T]. Consumes its arguments. */
function modelLoss(params: Tensors, batch: Tensors, { config, texts }: StepInput): np.Array {
  const { hidden_size: H, num_attention_heads: heads, layer_norm_eps: eps, vocab_size: V } = config;
  const B = texts.length;
  const T = texts[0]?.length ?? 0;
  const cos = pick(batch, "cos");
  const sin = pick(batch, "sin");
  let hidden = np.take(pick(params, "gpt_neox.embed_in.weight"), pick(batch, "ids"), 0);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = `gpt_neox.layers.${layer}.`;
    const normed = layerNorm(hidden.ref, params, `${prefix}input_layernorm`, eps);
    const qkv = linear(normed, params, `${prefix}attention.query_key_value`).reshape([B, T, heads, (3 * H) / heads]);
    const [q, k, v] = np.split(qkv, 3, -1);
    if (!q || !k || !v) throw new Error("qkv splits in three");
    const attended = nn.dotProductAttention(rotate(q, cos.ref, sin.ref), rotate(k, cos.ref, sin.ref), v, {
      isCausal: true,
    });
    hidden = hidden.add(linear(attended.reshape([B, T, H]), params, `${prefix}attention.dense`));
    const second = layerNorm(hidden.ref, params, `${prefix}post_attention_layernorm`, eps);
    const wide = nn.gelu(linear(second, params, `${prefix}mlp.dense_h_to_4h`), { approximate: false });
    hidden = hidden.add(linear(wide, params, `${prefix}mlp.dense_4h_to_h`));
  }
  cos.dispose();
  sin.dispose();
  const final = layerNorm(hidden, params, "gpt_neox.final_layer_norm", eps);
  const logits = np.matmul(final, np.transpose(pick(params, "embed_out.weight")));
  const hit = np.equal(pick(batch, "targets").reshape([B, T, 1]), np.arange(V).reshape([1, 1, V]));
  // Targets below 0 hit nothing, so the last token of a text adds 0. takeAlongAxis does not jit here.
  const picked = np.where(hit, nn.logSoftmax(logits, -1), 0);
  return np.sum(picked).div(-(B * (T - 1)));
}

/** One step of decoupled AdamW (jax-js' optax is not on npm). `bias` holds 1 - beta1^t and 1 - beta2^t. */
function adamw(params: Tensors, grads: Tensors, m: Tensors, v: Tensors, bias: Tensors) {
  const [beta1, beta2] = ADAMW.betas;
  const next: { params: Tensors; m: Tensors; v: Tensors } = { params: {}, m: {}, v: {} };
  for (const name of Object.keys(params)) {
    const grad = pick(grads, name);
    const first = pick(m, name)
      .mul(beta1)
      .add(grad.ref.mul(1 - beta1));
    const second = pick(v, name)
      .mul(beta2)
      .add(np.square(grad).mul(1 - beta2));
    const scale = np.sqrt(np.divide(second.ref, pick(bias, "second").ref)).add(ADAMW.eps);
    const update = np.divide(np.divide(first.ref, pick(bias, "first").ref), scale);
    next.params[name] = pick(params, name)
      .mul(1 - LEARNING_RATE * ADAMW.weight_decay)
      .sub(update.mul(LEARNING_RATE));
    next.m[name] = first;
    next.v[name] = second;
  }
  tree.dispose(bias);
  return next;
}

/** The training step under jit. A user waits for each step, so that few queue up. */
export function jaxModel(bench: StepCase, input: StepInput): StepContender {
  const { texts, length: T } = bench;
  const d = input.config.head_dim;
  const { cos, sin } = rotaryTables(T, d, input.config.rope_theta);
  const batch: Tensors = {
    ids: tensor(Int32Array.from(input.texts.flat()), [texts, T]),
    targets: tensor(shifted(input.texts), [texts, T]),
    cos: tensor(cos, [1, T, 1, d]),
    sin: tensor(sin, [1, T, 1, d]),
  };
  const shape = (name: string) => [...(input.shapes.get(name) ?? [])];
  const all = (make: (name: string, data: Float32Array) => np.Array): Tensors =>
    Object.fromEntries([...input.tensors].map(([name, data]) => [name, make(name, data)]));
  let params = all((name, data) => tensor(data, shape(name)));
  let m = all((name) => np.zeros(shape(name)));
  let v = all((name) => np.zeros(shape(name)));
  let count = 0;
  const loss = (weights: Tensors, data: Tensors) => modelLoss(weights, data, input);
  const step = jit((weights: Tensors, first: Tensors, second: Tensors, bias: Tensors, data: Tensors) => {
    const [value, grads] = valueAndGrad(loss)(tree.ref(weights), data);
    return { loss: value, ...adamw(weights, grads, first, second, bias) };
  });
  let last: np.Array | undefined;
  const enqueue = async () => {
    count += 1;
    const [beta1, beta2] = ADAMW.betas;
    const bias = { first: np.array(1 - beta1 ** count), second: np.array(1 - beta2 ** count) };
    const next = step(params, m, v, bias, tree.ref(batch));
    params = next.params;
    m = next.m;
    v = next.v;
    last?.dispose();
    last = next.loss;
    // jax-js is lazy: this sends the step off.
    await last.ref.gpuBuffer();
  };
  const finished = () => blockUntilReady([last, params, m, v]);
  return {
    name: "jax-js",
    enqueue,
    finished,
    step: async () => {
      await enqueue();
      await finished();
      if (!last) throw new Error("a step has a loss");
      return Number((await last.ref.data())[0]);
    },
    dispose: () => {
      tree.dispose([params, m, v, batch]);
      last?.dispose();
      step.dispose();
    },
  };
}

/** The product under jit. */
export function jaxMatmul({ layout }: MatmulCase, input: MatmulInput): MatmulContender {
  const a = tensor(input.a, input.aShape);
  const b = tensor(input.b, input.bShape);
  const product = jit((left: np.Array, right: np.Array) =>
    np.matmul(layout === "TN" ? np.transpose(left) : left, layout === "NT" ? np.transpose(right) : right),
  );
  let outs: np.Array[] = [];
  return {
    name: "jax-js",
    enqueue: async () => {
      const out = product(a.ref, b.ref);
      outs.push(out);
      await out.ref.gpuBuffer();
    },
    finished: async () => {
      await blockUntilReady(outs);
      tree.dispose(outs);
      outs = [];
    },
    output: async () => Float32Array.from(await product(a.ref, b.ref).data()),
    dispose: () => {
      tree.dispose([a, b]);
      product.dispose();
    },
  };
}
