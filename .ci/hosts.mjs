/** Under which names the server answers, and which addresses other machines can use. */
import { hostname, networkInterfaces } from "node:os";

const LOCAL = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i;
const ADDRESS = /^(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\])(:\d+)?$/i;

/** Listening on all of the machine's addresses. @param {string} host */
export const isAny = (host) => host === "0.0.0.0" || host === "::";

/**
 * Whether the server answers to a request's Host. A page elsewhere can point a name of its own at this machine (DNS
 * rebinding) and read what is answered; it cannot do so with an address or with a name of ours.
 * @param {{ host?: string | null, publicUrl?: string | null }} options
 * @returns {(header: string | undefined) => boolean}
 */
export function hostCheck({ host = null, publicUrl = null }) {
  const named = new Set();
  if (publicUrl !== null) named.add(new URL(publicUrl).host);
  if (host !== null) {
    const own = hostname().toLowerCase();
    for (const name of [host.toLowerCase(), own, `${own}.local`]) named.add(name);
  }
  return (header = "") => {
    if (LOCAL.test(header)) return true;
    if (host !== null && ADDRESS.test(header)) return true;
    const asked = header.toLowerCase();
    return named.has(asked) || named.has(asked.replace(/:\d+$/, ""));
  };
}

/** Whether browsers take what is served under this Host for safe, so that isolation means something there. */
export const isTrustworthy = (header = "", publicUrl = null) =>
  LOCAL.test(header) || (publicUrl?.startsWith("https:") === true && new URL(publicUrl).host === header.toLowerCase());

/** Addresses of this machine that others in the network may reach, IPv4 first: one that is link-local reaches nobody far. */
export function networkAddresses(interfaces = networkInterfaces()) {
  const found = Object.values(interfaces)
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !/^(169\.254\.|fe80:)/i.test(address));
  const of = (family) => found.filter((one) => one.family === family).map(({ address }) => address);
  return [...of("IPv4"), ...of("IPv6").map((address) => `[${address}]`)];
}

/**
 * Where raters reach this server, best first: "http://192.168.1.5:4173".
 * @param {{ host?: string | null, publicUrl?: string | null, port: number }} options
 */
export function reachableAt({ host = null, publicUrl = null, port }) {
  const at = (name) => `http://${name}:${port}`;
  if (publicUrl !== null) return [new URL(publicUrl).origin];
  if (host === null) return [at("localhost")];
  if (!isAny(host)) return [at(host.includes(":") ? `[${host}]` : host)];
  const others = networkAddresses().filter((name) => host === "::" || !name.startsWith("["));
  return others.length > 0 ? others.map(at) : [at("localhost")];
}
