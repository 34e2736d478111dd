import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { networkAddresses, reachableAt } from "./hosts.mjs";
import { parseRange, resolvePath, serve } from "./serve.mjs";

const BYTES = Buffer.from(Array.from({ length: 100 }, (_, i) => i));
let folder = "";
let server;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "nagi-serve-"));
  const site = join(folder, "site");
  mkdirSync(join(site, "assets"), { recursive: true });
  writeFileSync(join(folder, "secret.txt"), "secret");
  symlinkSync(join(folder, "secret.txt"), join(site, "link.txt"));
  writeFileSync(join(site, ".fingerprint"), "hidden");
  writeFileSync(
    join(site, "index.html"),
    '<meta property="csp-nonce" nonce="__CSP_NONCE__"><script nonce="__CSP_NONCE__"></script>',
  );
  writeFileSync(join(site, "assets", "app-1a2b3c.js"), "export {}");
  writeFileSync(join(site, "model.safetensors"), BYTES);
  writeFileSync(join(site, "data.jsonl"), "{}\n");
  writeFileSync(join(site, "ort.wasm"), "");
  server = await serve({ folder: site, port: 0 });
});

afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A raw request: fetch would tidy up the path and refuse some headers. */
function ask(path, { method = "GET", headers = {}, port = server.port } = {}) {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, path, method, headers }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.on("error", reject);
    request.end();
  });
}

describe("headers", () => {
  it("isolates the page and forbids what is not listed", async () => {
    for (const path of ["/", "/assets/app-1a2b3c.js", "/nowhere.js"]) {
      const { headers } = await ask(path);
      expect(headers["cross-origin-opener-policy"]).toBe("same-origin");
      expect(headers["cross-origin-embedder-policy"]).toBe("require-corp");
      expect(headers["x-content-type-options"]).toBe("nosniff");
      const policy = headers["content-security-policy"];
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval';");
      expect(policy).toContain("worker-src 'self';");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain("unsafe-inline");
    }
  });

  it("puts a fresh nonce into page and policy", async () => {
    const nonces = new Set();
    for (let i = 0; i < 3; i++) {
      const { headers, body } = await ask("/");
      const nonce = /style-src 'self' 'nonce-([^']+)'/.exec(headers["content-security-policy"])?.[1];
      expect(nonce).toMatch(/^[A-Za-z0-9+/=]{20,}$/);
      expect(body.toString()).toBe(`<meta property="csp-nonce" nonce="${nonce}"><script nonce="${nonce}"></script>`);
      expect(headers["cache-control"]).toBe("no-store");
      nonces.add(nonce);
    }
    expect(nonces.size).toBe(3);
  });

  it("knows the types that matter", async () => {
    const type = async (path) => (await ask(path)).headers["content-type"];
    expect(await type("/")).toBe("text/html; charset=utf-8");
    expect(await type("/assets/app-1a2b3c.js")).toBe("text/javascript; charset=utf-8");
    expect(await type("/data.jsonl")).toBe("application/jsonl; charset=utf-8");
    expect(await type("/model.safetensors")).toBe("application/octet-stream");
    expect(await type("/ort.wasm")).toBe("application/wasm");
  });

  it("caches hashed assets for good and revalidates the rest", async () => {
    expect((await ask("/assets/app-1a2b3c.js")).headers["cache-control"]).toContain("immutable");
    const first = await ask("/data.jsonl");
    expect(first.headers["cache-control"]).toBe("no-cache");
    const second = await ask("/data.jsonl", { headers: { "if-none-match": first.headers.etag } });
    expect(second.status).toBe(304);
    expect(second.body.length).toBe(0);
  });
});

describe("paths", () => {
  it("stays in its folder", async () => {
    const bad = [
      "/../secret.txt",
      "/assets/../../secret.txt",
      "/%2e%2e/secret.txt",
      "/..%2fsecret.txt",
      "/%2e%2e%5csecret.txt",
      "/link.txt",
      "/.fingerprint",
      "/%00",
      "/%zz",
      "//etc/passwd",
    ];
    for (const path of bad) {
      const { status, body } = await ask(path, { headers: { accept: "application/json" } });
      expect([path, status]).toEqual([path, 404]);
      expect(body.toString()).not.toContain("secret");
    }
    expect(resolvePath("/site", "/a/b.js?x=1")).toBe(join("/site", "a", "b.js"));
    expect(resolvePath("/site", "no-slash")).toBeNull();
  });

  it("answers the page's routes with the page, missing files with 404", async () => {
    const route = await ask("/runs/abc", { headers: { accept: "text/html,*/*;q=0.8" } });
    expect(route.status).toBe(200);
    expect(route.headers["content-type"]).toContain("text/html");
    expect((await ask("/assets/missing.js", { headers: { accept: "text/html" } })).status).toBe(404);
  });
});

describe("methods", () => {
  it("takes GET and HEAD only", async () => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const { status, headers } = await ask("/", { method });
      expect(status).toBe(405);
      expect(headers.allow).toBe("GET, HEAD");
    }
    const head = await ask("/model.safetensors", { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(head.headers["content-length"]).toBe("100");
    expect(head.body.length).toBe(0);
  });

  it("answers to local names only", async () => {
    expect((await ask("/", { headers: { host: "evil.example" } })).status).toBe(403);
    expect((await ask("/", { headers: { host: `localhost:${server.port}` } })).status).toBe(200);
    expect((await ask("/", { headers: { host: "localhost.evil.example" } })).status).toBe(403);
  });
});

describe("other machines and live links", () => {
  it("answers to addresses and its own names once it listens to others, and to no other name", async () => {
    const open = await serve({
      folder: join(folder, "site"),
      port: 0,
      host: "0.0.0.0",
      publicUrl: "https://nagi.example",
    });
    try {
      const status = async (host) => (await ask("/", { port: open.port, headers: { host } })).status;
      for (const host of [
        "192.168.1.5:4173",
        "[fd00::2]:4173",
        "localhost",
        hostname(),
        `${hostname()}.local:80`,
        "nagi.example",
      ])
        expect([host, await status(host)]).toEqual([host, 200]);
      for (const host of ["evil.example", "192.168.1.5.evil.example", "nagi.example.evil"])
        expect([host, await status(host)]).toEqual([host, 403]);
      const isolation = async (host) =>
        (await ask("/", { port: open.port, headers: { host } })).headers["cross-origin-opener-policy"];
      expect(await isolation("nagi.example")).toBe("same-origin");
      expect(await isolation("192.168.1.5:4173")).toBeUndefined();
    } finally {
      await open.close();
    }
    expect((await ask("/", { headers: { host: "192.168.1.5" } })).status).toBe(403);
  });

  it("turns a live link into a page of the studio, and says whether it is a relay", async () => {
    const { status, headers } = await ask("/live/ABCD-EFGH");
    expect([status, headers.location]).toEqual([302, "/#/live/ABCD-EFGH"]);
    for (const path of ["/live/a/b", "/live/%0d%0aX:1", "/live//evil.example"])
      expect((await ask(path, { headers: { accept: "application/json" } })).status).toBe(404);
    expect((await ask("/relay.json")).body.toString()).toBe('{"relay":false}');
    const relayed = await serve({ folder: join(folder, "site"), port: 0, relay: { attach: () => undefined } });
    expect((await ask("/relay.json", { port: relayed.port })).body.toString()).toBe('{"relay":true}');
    await relayed.close();
  });

  it("names the addresses that others can use", () => {
    const interfaces = {
      lo: [{ address: "127.0.0.1", family: "IPv4", internal: true }],
      eth0: [
        { address: "fe80::1", family: "IPv6", internal: false },
        { address: "fd00::2", family: "IPv6", internal: false },
        { address: "192.168.1.5", family: "IPv4", internal: false },
      ],
      usb0: [{ address: "169.254.3.4", family: "IPv4", internal: false }],
    };
    expect(networkAddresses(interfaces)).toEqual(["192.168.1.5", "[fd00::2]"]);
    expect(reachableAt({ port: 4173 })).toEqual(["http://localhost:4173"]);
    expect(reachableAt({ host: "10.0.0.7", port: 80 })).toEqual(["http://10.0.0.7:80"]);
    expect(reachableAt({ host: "0.0.0.0", publicUrl: "https://nagi.example/x", port: 1 })).toEqual([
      "https://nagi.example",
    ]);
  });
});

describe("ranges", () => {
  it("sends parts of a file", async () => {
    const get = (range) => ask("/model.safetensors", { headers: { range } });
    const middle = await get("bytes=10-19");
    expect(middle.status).toBe(206);
    expect(middle.headers["content-range"]).toBe("bytes 10-19/100");
    expect(middle.body.equals(BYTES.subarray(10, 20))).toBe(true);
    expect((await get("bytes=-5")).body.equals(BYTES.subarray(95))).toBe(true);
    expect((await get("bytes=90-1000")).body.equals(BYTES.subarray(90))).toBe(true);
    const outside = await get("bytes=100-");
    expect(outside.status).toBe(416);
    expect(outside.headers["content-range"]).toBe("bytes */100");
    const stale = await ask("/model.safetensors", { headers: { range: "bytes=0-1", "if-range": '"other"' } });
    expect(stale.status).toBe(200);
    expect(stale.body.length).toBe(100);
  });

  it("reads range headers", () => {
    expect(parseRange(undefined, 10)).toBe("none");
    expect(parseRange("items=0-1", 10)).toBe("none");
    expect(parseRange("bytes=0-1,4-5", 10)).toBe("none");
    expect(parseRange("bytes=5-2", 10)).toBe("none");
    expect(parseRange("bytes=-0", 10)).toBe("unsatisfiable");
    expect(parseRange("bytes=-20", 10)).toEqual({ start: 0, end: 9 });
    expect(parseRange("bytes=0-", 0)).toBe("unsatisfiable");
  });
});

describe("ports", () => {
  it("takes the next free port, and fails without leave to", async () => {
    const other = createServer();
    await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address();
    try {
      await expect(serve({ folder: join(folder, "site"), port })).rejects.toMatchObject({ code: "EADDRINUSE" });
      const next = await serve({ folder: join(folder, "site"), port, tries: 20 });
      expect(next.port).toBeGreaterThan(port);
      expect((await ask("/", { port: next.port })).status).toBe(200);
      await next.close();
    } finally {
      other.close();
    }
  });
});
