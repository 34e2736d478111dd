/** onnxruntime-web's MatMul on WebGPU: a model of one node, its tensors on the GPU throughout. */

import * as ort from "onnxruntime-web/webgpu";
import type { MatmulCase, MatmulContender, MatmulInput } from "../../engine/bench/matmul.bench";

/** ONNX' MatMul knows no transposition: its users store weights so that NN is enough. */
export const ortRuns = ({ layout }: MatmulCase): boolean => layout === "NN";

/** Protocol Buffers' wire format, as far as a model of one node needs it. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
const integer = (field: number, value: number) => [...varint(field * 8), ...varint(value)];
const message = (field: number, bytes: readonly number[]) => [
  ...varint(field * 8 + 2),
  ...varint(bytes.length),
  ...bytes,
];
const text = (field: number, value: string) => message(field, [...new TextEncoder().encode(value)]);

const FLOAT = 1;

/** onnx.ValueInfoProto of a float tensor. */
function value(name: string, dims: readonly number[]): number[] {
  const shape = dims.flatMap((dim) => message(1, integer(1, dim)));
  return [...text(1, name), ...message(2, message(1, [...integer(1, FLOAT), ...message(2, shape)]))];
}

/** An onnx.ModelProto (IR 8, opset 17): out [M,N] = a [M,K] · b [K,N]. */
export function matmulModel(M: number, N: number, K: number): Uint8Array {
  const node = [...text(1, "a"), ...text(1, "b"), ...text(2, "out"), ...text(4, "MatMul")];
  const graph = [
    ...message(1, node),
    ...text(2, "matmul"),
    ...message(11, value("a", [M, K])),
    ...message(11, value("b", [K, N])),
    ...message(12, value("out", [M, N])),
  ];
  return Uint8Array.from([...integer(1, 8), ...message(7, graph), ...message(8, integer(2, 17))]);
}

const BUFFER = { COPY_SRC: 4, COPY_DST: 8, STORAGE: 128 } as const;

/** The product as a session with its inputs and its output in GPU buffers. NN only. */
export async function ortMatmul({ M, N, K }: MatmulCase, input: MatmulInput): Promise<MatmulContender> {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(matmulModel(M, N, K), {
    executionProviders: ["webgpu"],
    preferredOutputLocation: "gpu-buffer",
  });
  const device = await ort.env.webgpu.device;
  const buffers: GPUBuffer[] = [];
  const upload = (data: Float32Array<ArrayBuffer>, dims: readonly [number, number]) => {
    const usage = BUFFER.STORAGE | BUFFER.COPY_SRC | BUFFER.COPY_DST;
    const buffer = device.createBuffer({ size: data.byteLength, usage });
    device.queue.writeBuffer(buffer, 0, data);
    buffers.push(buffer);
    return ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims: [...dims] });
  };
  const feeds = { a: upload(input.a, input.aShape), b: upload(input.b, input.bShape) };
  const run = async () => {
    const { out } = await session.run(feeds);
    if (!out) throw new Error("the model has one output");
    return out;
  };
  let outs: ort.Tensor[] = [];
  return {
    name: "onnxruntime-web",
    enqueue: async () => void outs.push(await run()),
    finished: async () => {
      await device.queue.onSubmittedWorkDone();
      for (const out of outs) out.dispose();
      outs = [];
    },
    output: async () => {
      const data = await (await run()).getData(true);
      if (!(data instanceof Float32Array)) throw new Error("the product is not f32");
      return data;
    },
    dispose: () => {
      for (const buffer of buffers) buffer.destroy();
      void session.release();
    },
  };
}
