/** Element types of checkpoints, and their way to float32 and back. */

export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** Names as safetensors writes them. */
export type Dtype = keyof typeof DTYPE_BYTES;

/** Types the writer can produce. */
export type FloatDtype = "F32" | "F16" | "BF16";

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPE_BYTES, name);
}

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

let halfTable: Float32Array | undefined;

/** All 65,536 half-precision values: one look-up an element, whatever subnormals there are. */
function halves(): Float32Array {
  if (halfTable) return halfTable;
  const table = new Float32Array(65_536);
  for (let bits = 0; bits < 65_536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  halfTable = table;
  return table;
}

/** The 16 bits of the half nearest to `value`; ties to even, overflow to infinity, as IEEE 754 rounds. */
export function toHalf(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fff_ffff;
  if (magnitude > 0x7f80_0000) return sign | 0x7e00;
  if (magnitude >= 0x4780_0000) return sign | 0x7c00;
  if (magnitude < 0x3880_0000) {
    // Subnormal half: float32 addition of 0.5 aligns the bits at 2^-24 and rounds them to even.
    scratchBits[0] = magnitude;
    scratchFloat[0] = (scratchFloat[0] ?? 0) + 0.5;
    return sign | ((scratchBits[0] ?? 0) - 0x3f00_0000);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x3800_0000) >>> 13);
}

/** The upper 16 bits of `value` as float32, rounded to nearest, ties to even. */
export function toBfloat16(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0] ?? 0;
  if ((bits & 0x7fff_ffff) > 0x7f80_0000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/**
 * Little-endian `bytes` of `dtype` as float32. 64-bit values lose the precision float32 does not have; BOOL gives 0, 1.
 * `bytes.byteLength` is a multiple of the element size.
 */
export function toFloat32(bytes: Uint8Array, dtype: Dtype): Float32Array {
  const width = DTYPE_BYTES[dtype];
  const count = bytes.byteLength / width;
  // Typed-array views need alignment, which a position in a file does not promise.
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset } = aligned;
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer, byteOffset, count).slice();
    case "F16": {
      const table = halves();
      const source = new Uint16Array(buffer, byteOffset, count);
      const out = new Float32Array(count);
      for (let i = 0; i < count; i++) out[i] = table[source[i] ?? 0] ?? 0;
      return out;
    }
    case "BF16": {
      const source = new Uint16Array(buffer, byteOffset, count);
      const bits = new Uint32Array(count);
      for (let i = 0; i < count; i++) bits[i] = (source[i] ?? 0) << 16;
      return new Float32Array(bits.buffer);
    }
    case "F64":
      return Float32Array.from(new Float64Array(buffer, byteOffset, count));
    case "I64":
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, count), Number);
    case "U64":
      return Float32Array.from(new BigUint64Array(buffer, byteOffset, count), Number);
    case "I32":
      return Float32Array.from(new Int32Array(buffer, byteOffset, count));
    case "U32":
      return Float32Array.from(new Uint32Array(buffer, byteOffset, count));
    case "I16":
      return Float32Array.from(new Int16Array(buffer, byteOffset, count));
    case "U16":
      return Float32Array.from(new Uint16Array(buffer, byteOffset, count));
    case "I8":
      return Float32Array.from(new Int8Array(buffer, byteOffset, count));
    case "U8":
      return Float32Array.from(aligned);
    case "BOOL":
      return Float32Array.from(aligned, (value) => (value ? 1 : 0));
  }
}

/** float32 `values` as little-endian bytes of `dtype`, written to `target` from byte `offset` on. */
export function fromFloat32(values: Float32Array, dtype: FloatDtype, target: Uint8Array, offset: number): void {
  if (dtype === "F32") {
    target.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
    return;
  }
  const convert = dtype === "F16" ? toHalf : toBfloat16;
  for (let i = 0; i < values.length; i++) {
    const bits = convert(values[i] ?? 0);
    target[offset + 2 * i] = bits & 0xff;
    target[offset + 2 * i + 1] = bits >>> 8;
  }
}
