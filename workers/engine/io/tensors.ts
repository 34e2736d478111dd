/**
 * Tensors that may still be on disk. A checkpoint is read tensor by tensor, large ones in pieces, on its way to the GPU or
 * to another file: nothing here holds a whole model in memory.
 */

/** A tensor that is read when it is asked for. */
export interface LazyTensor {
  /** Elements. */
  readonly length: number;
  /** The values as float32, row-major, one piece after another; every call reads them anew. Rejects as its source does. */
  pieces(): AsyncIterable<Float32Array>;
}

export type TensorValues = Float32Array | LazyTensor;

/** By name, in the order in which they are to be read. */
export type Tensors = ReadonlyMap<string, TensorValues>;

/** Elements of a piece: large enough for a disk, small beside any model (4 MiB of float32). */
export const PIECE_ELEMENTS = 1 << 20;

/** All values at once. A tensor that is in memory already is returned as it is. */
export async function wholeTensor(tensor: TensorValues): Promise<Float32Array> {
  if (tensor instanceof Float32Array) return tensor;
  const whole = new Float32Array(tensor.length);
  let at = 0;
  for await (const piece of tensor.pieces()) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** All tensors in memory: for small models, and for what needs every value at hand. */
export async function wholeTensors(tensors: Tensors): Promise<Map<string, Float32Array>> {
  const whole = new Map<string, Float32Array>();
  for (const [name, tensor] of tensors) whole.set(name, await wholeTensor(tensor));
  return whole;
}

/** The pieces of a tensor wherever it is; of one in memory they are views. */
export async function* piecesOfTensor(tensor: TensorValues): AsyncGenerator<Float32Array> {
  if (!(tensor instanceof Float32Array)) {
    yield* tensor.pieces();
    return;
  }
  for (let at = 0; at < tensor.length; at += PIECE_ELEMENTS) yield tensor.subarray(at, at + PIECE_ELEMENTS);
}
