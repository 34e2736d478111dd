/** A WebSocket, as little of it as is used: the browser's here, another one in tests. */

export interface WireListener {
  opened(): void;
  received(frame: string | Uint8Array): void;
  /** Once, also where it never opened. */
  closed(code: number, reason: string): void;
}

export interface Wire {
  send(frame: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** Starts to connect. @throws where the URL is none */
export type Dial = (url: string, listener: WireListener) => Wire;

export const dialWebSocket: Dial = (url, listener) => {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => listener.opened());
  socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) =>
    listener.received(typeof data === "string" ? data : new Uint8Array(data)),
  );
  socket.addEventListener("close", ({ code, reason }) => listener.closed(code, reason));
  return { send: (frame) => socket.send(frame), close: () => socket.close() };
};
