/**
 * The static server behind `npm start`: localhost only unless told otherwise, cross-origin isolated, with a strict content
 * security policy. Serves one folder; a path without a file extension that does not exist is the single page's.
 */
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, realpath, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, sep } from "node:path";
import { hostCheck, isAny, isTrustworthy } from "./hosts.mjs";

const MIME = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".jsonl": "application/jsonl; charset=utf-8",
  ".csv": "text/csv; charset=utf-8",
  ".tsv": "text/tab-separated-values; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".wgsl": "text/wgsl; charset=utf-8",
  ".webmanifest": "application/manifest+json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".safetensors": "application/octet-stream",
  ".bin": "application/octet-stream",
  ".onnx": "application/octet-stream",
};

/** Stands in the built index.html (vite.config.ts, html.cspNonce); every response gets its own nonce in its place. */
export const NONCE_PLACEHOLDER = "__CSP_NONCE__";

/**
 * The policy. Styles need a nonce because Mantine writes its variables and responsive rules into <style> elements;
 * scripts need none, so an injected <style> or <script> of anyone else is refused.
 */
export function contentSecurityPolicy(nonce) {
  return [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    // Remote workers, relays and model hubs are wherever their owner says.
    "connect-src 'self' ws: wss: https: http://localhost:* http://127.0.0.1:*",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

/** Over plain http from another machine, where only raters come, browsers complain about isolation and ignore it. */
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

function commonHeaders(nonce, isolated = true) {
  return {
    "Content-Security-Policy": contentSecurityPolicy(nonce),
    ...(isolated ? ISOLATION : {}),
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
  };
}

/**
 * A request's path as a file path below `root`, or null where it leaves the root, names a hidden file or is malformed.
 * @param {string} root real path @param {string} url
 */
export function resolvePath(root, url) {
  let path;
  try {
    path = decodeURIComponent(url.replace(/[?#].*$/s, ""));
  } catch {
    return null;
  }
  if (!path.startsWith("/") || path.includes("\0") || path.includes("\\")) return null;
  const parts = path.split("/").filter((part) => part !== "");
  if (parts.some((part) => part.startsWith("."))) return null;
  return join(root, ...parts);
}

/**
 * One byte range of a file of `size` bytes.
 * @returns {{ start: number, end: number } | "none" | "unsatisfiable"} `end` is inclusive; "none": send the whole file
 */
export function parseRange(header, size) {
  if (header === undefined) return "none";
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  // Several ranges or another unit: a server may ignore them.
  if (!match || (match[1] === "" && match[2] === "")) return "none";
  const [, first, last] = match;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  const end = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== "" && Number(last) < start) return "none";
  return start >= size ? "unsatisfiable" : { start, end };
}

async function findFile(root, request) {
  const path = resolvePath(root, request.url ?? "/");
  if (path === null) return null;
  const candidates = [path, join(path, "index.html")];
  // Routes of the single page have no extension and are asked for as pages.
  if (extname(path) === "" && /text\/html|\*\/\*/.test(request.headers.accept ?? "*/*"))
    candidates.push(join(root, "index.html"));
  for (const candidate of candidates) {
    try {
      const real = await realpath(candidate);
      if (real !== root && !real.startsWith(root + sep)) continue; // a link out of the folder
      const info = await stat(real);
      if (info.isFile()) return { path: real, info };
    } catch {
      // not there: try the next
    }
  }
  return null;
}

/** The short link of a live rating, as a page of the studio. */
const LIVE_LINK = /^\/live\/([A-Za-z0-9-]{1,40})\/?$/;

/**
 * @param {{ root: string, hostAllowed: (header: string | undefined) => boolean, publicUrl: string | null,
 *   relay: boolean }} site
 */
async function respond({ root, hostAllowed, publicUrl, relay }, request, response) {
  const nonce = randomBytes(16).toString("base64");
  const headers = commonHeaders(nonce, isTrustworthy(request.headers.host, publicUrl));
  const refuse = (status, text, extra = {}) => {
    const body = `${status} ${text}\n`;
    response.writeHead(status, {
      ...headers,
      ...extra,
      "Content-Type": MIME[".txt"],
      "Content-Length": Buffer.byteLength(body),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  };
  // A page elsewhere whose name was pointed at this machine must not read the answers.
  if (!hostAllowed(request.headers.host)) return refuse(403, "Forbidden: open it as localhost");
  if (request.method !== "GET" && request.method !== "HEAD")
    return refuse(405, "Method Not Allowed", { Allow: "GET, HEAD" });
  const code = LIVE_LINK.exec((request.url ?? "").replace(/[?#].*$/s, ""))?.[1];
  if (code !== undefined) {
    response.writeHead(302, {
      ...headers,
      Location: `/#/live/${code}`,
      "Cache-Control": "no-store",
      "Content-Length": 0,
    });
    response.end();
    return;
  }
  if (request.url === "/relay.json") {
    const body = JSON.stringify({ relay });
    response.writeHead(200, {
      ...headers,
      "Content-Type": MIME[".json"],
      "Cache-Control": "no-store",
      "Content-Length": Buffer.byteLength(body),
    });
    response.end(request.method === "HEAD" ? undefined : body);
    return;
  }
  const file = await findFile(root, request);
  if (file === null) return refuse(404, "Not Found");

  const { path, info } = file;
  headers["Content-Type"] = MIME[extname(path).toLowerCase()] ?? "application/octet-stream";
  const head = request.method === "HEAD";
  if (extname(path) === ".html") {
    const page = (await readFile(path, "utf8")).replaceAll(NONCE_PLACEHOLDER, nonce);
    response.writeHead(200, { ...headers, "Cache-Control": "no-store", "Content-Length": Buffer.byteLength(page) });
    response.end(head ? undefined : page);
    return;
  }
  // Vite puts a content hash into the names below assets/.
  const hashed = path.startsWith(join(root, "assets") + sep);
  headers["Cache-Control"] = hashed ? "public, max-age=31536000, immutable" : "no-cache";
  headers.ETag = `"${info.size.toString(16)}-${Math.floor(info.mtimeMs).toString(16)}"`;
  headers["Accept-Ranges"] = "bytes";
  if (request.headers["if-none-match"] === headers.ETag) {
    response.writeHead(304, headers);
    response.end();
    return;
  }
  const ifRange = request.headers["if-range"];
  const range =
    ifRange === undefined || ifRange === headers.ETag ? parseRange(request.headers.range, info.size) : "none";
  if (range === "unsatisfiable")
    return refuse(416, "Range Not Satisfiable", { "Content-Range": `bytes */${info.size}` });
  const { start, end } = range === "none" ? { start: 0, end: info.size - 1 } : range;
  if (range !== "none") headers["Content-Range"] = `bytes ${start}-${end}/${info.size}`;
  response.writeHead(range === "none" ? 200 : 206, { ...headers, "Content-Length": end - start + 1 });
  if (head || info.size === 0) {
    response.end();
    return;
  }
  const stream = createReadStream(path, { start, end });
  stream.on("error", () => response.destroy());
  response.on("close", () => stream.destroy());
  stream.pipe(response);
}

function listen(server, port, host) {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve(server);
    });
  });
}

/** Where to listen: first what must work, then what this machine may not have. */
function listeners(host) {
  if (host === null) return [["127.0.0.1"], ["::1"]];
  if (isAny(host)) return [[host], host === "::" ? [] : ["::1"]];
  // The studio itself needs localhost: browsers give WebGPU to safe addresses only.
  return [[host], ["127.0.0.1", "::1"]];
}

/**
 * Serves `folder` on 127.0.0.1 and, where the machine has it, on ::1; with `host` also there.
 * @param {{ folder: string, port: number, tries?: number, host?: string | null, publicUrl?: string | null,
 *   relay?: { attach(server: import("node:http").Server): void } | null }} options `tries` ports upwards from `port`;
 *   port 0: any free one
 * @returns {Promise<{ port: number, close: () => Promise<void> }>}
 */
export async function serve({ folder, port, tries = 1, host = null, publicUrl = null, relay = null }) {
  const hostAllowed = hostCheck({ host, publicUrl });
  const site = { root: await realpath(folder), hostAllowed, publicUrl, relay: relay !== null };
  const create = () => {
    const server = createServer((request, response) => {
      respond(site, request, response).catch(() => {
        if (!response.headersSent) response.writeHead(500, commonHeaders(""));
        response.end();
      });
    });
    relay?.attach(server);
    return server;
  };
  const [needed, wanted] = listeners(host);
  for (let attempt = 0; ; attempt++) {
    const servers = [];
    const close = () =>
      Promise.all(
        servers.map(
          (server) =>
            new Promise((done) => {
              server.closeAllConnections();
              server.close(done);
            }),
        ),
      );
    try {
      let bound = port === 0 ? 0 : port + attempt;
      for (const name of needed) {
        servers.push(await listen(create(), bound, name));
        bound = servers[0].address().port;
      }
      for (const name of wanted) {
        try {
          servers.push(await listen(create(), bound, name));
        } catch (error) {
          if (error.code === "EADDRINUSE" && !isAny(host ?? "")) throw error; // someone else's page would answer at localhost
        }
      }
      return { port: bound, close: async () => void (await close()) };
    } catch (error) {
      await close();
      if (error.code !== "EADDRINUSE" || attempt + 1 >= tries) throw error;
    }
  }
}
