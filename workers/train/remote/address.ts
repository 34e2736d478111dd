/** Addresses of workers as people enter them and as connections need them. */
import type { NagiError } from "../../../src/shared/errors";
import { REMOTE_SCHEMA_HASH } from "../../../src/shared/protocol/remote-hash";
import type { WorkerAddress } from "../../../src/shared/protocol/workers";
import { type LinkAddress, LinkLost } from "./link";

/** What a connection needs to know. */
export function linkAddress(address: WorkerAddress): LinkAddress {
  if (address.via === "direct")
    return { url: address.url, token: address.token, code: null, schemaHash: REMOTE_SCHEMA_HASH };
  const [code = "", ...token] = address.code.split("-");
  return { url: address.url, token: token.join("-"), code: code.toUpperCase(), schemaHash: REMOTE_SCHEMA_HASH };
}

/**
 * The address as a WebSocket is opened with: http becomes ws, a missing scheme too, and the path is the worker's or the
 * relay's where none is given. @throws worker.unreachable {url, problem} where it is no address
 */
export function completeAddress(address: WorkerAddress): WorkerAddress {
  const typed = address.url.trim();
  const text = /^[a-z]+:\/\//i.test(typed) ? typed.replace(/^http/i, "ws") : `ws://${typed}`;
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw noAddress(typed, cause);
  }
  if (url.protocol !== "ws:" && url.protocol !== "wss:") throw noAddress(typed);
  url.hash = "";
  url.search = "";
  url.username = "";
  url.password = "";
  if (url.pathname === "/") url.pathname = address.via === "direct" ? "/ws" : "/relay/studio";
  return address.via === "direct"
    ? { ...address, url: url.href, token: address.token.trim() }
    : { ...address, url: url.href, code: address.code.trim() };
}

function noAddress(url: string, cause?: unknown): NagiError {
  const problem = "this is not an address; write ws://HOST:PORT or wss://HOST";
  return new LinkLost("worker.unreachable", `"${url}": ${problem}.`, { url, problem }, { cause });
}
