/**
 * What goes between the relay and a worker behind NAT: many studios over one WebSocket. After the first two text frames
 * (`workerHello`, `{"type":"code","code":"K7QF"}`) every frame is binary: u32 little-endian channel, u8 kind, payload.
 */
import { z } from "zod";

/** The relay's paths. */
export const WORKER_PATH = "/relay/worker";
export const STUDIO_PATH = "/relay/studio";

/** A worker's first frame. The key is its own secret: the same key, the same code. */
export const workerHello = z.strictObject({
  type: z.literal("worker"),
  worker_key: z.string().regex(/^[0-9a-f]{64}$/),
  name: z.string().max(200),
});

/** A studio's first frame. The rest of what people see as the pairing code is the token; the relay never sees it. */
export const studioPair = z.strictObject({ type: z.literal("pair"), code: z.string().min(1).max(16) });

/** Payload of `opened`: where the studio's page comes from, for the worker's own check. */
export const openedPayload = z.strictObject({ origin: z.string().nullable() });
/** Payload of `closed`, either way. */
export const closedPayload = z.strictObject({ code: z.int().min(1000).max(4999), reason: z.string().max(123) });

export const KIND = { opened: 0, text: 1, binary: 2, closed: 3 } as const;

/** Bytes of a studio's frame (the wire's own limit), and of the same frame on the worker's link. */
export const FRAME_BYTES = 4 * 1024 * 1024;
export const HEADER_BYTES = 5;

export interface ChannelFrame {
  readonly channel: number;
  readonly kind: number;
  readonly payload: Buffer;
}

export function packFrame(channel: number, kind: number, payload: Buffer | string): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + bytes.length);
  frame.writeUInt32LE(channel, 0);
  frame.writeUInt8(kind, 4);
  bytes.copy(frame, HEADER_BYTES);
  return frame;
}

/** null where it is no frame of a link. */
export function unpackFrame(frame: Buffer): ChannelFrame | null {
  if (frame.length < HEADER_BYTES) return null;
  return { channel: frame.readUInt32LE(0), kind: frame.readUInt8(4), payload: frame.subarray(HEADER_BYTES) };
}
