import { describe, expect, it } from "vitest";
import { archiveSources, majorVersion, parseOsRelease } from "./prepare.mjs";

describe("archiveSources", () => {
  const deb822 = `Types: deb
# a comment
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main
`;
  it("reads deb822 sources", () => {
    expect(archiveSources([{ name: "debian.sources", text: deb822 }], "bookworm")).toEqual([
      { options: "[signed-by=/usr/share/keyrings/archive.gpg]", uri: "http://mirror.invalid/debian" },
    ]);
    expect(archiveSources([{ name: "debian.sources", text: `Enabled: no\n${deb822}` }], "bookworm")).toEqual([]);
  });
  it("reads one-line sources", () => {
    const text = `# deb http://old.invalid/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://mirror.invalid/debian bookworm main contrib
deb-src https://mirror.invalid/debian bookworm main
deb https://other.invalid nodistro main
deb https://mirror.invalid/debian bookworm-updates main
`;
    expect(archiveSources([{ name: "sources.list", text }], "bookworm")).toEqual([
      { options: "[arch=amd64 signed-by=/k.gpg]", uri: "https://mirror.invalid/debian" },
    ]);
    expect(archiveSources([{ name: "backup.txt", text }], "bookworm")).toEqual([]);
  });
});

describe("versions", () => {
  it("reads Debian's version strings", () => {
    expect(majorVersion("25.0.7-2~bpo12+1")).toBe(25);
    expect(majorVersion("1:20220127+repack1-1")).toBe(20220127);
    expect(majorVersion("(none)")).toBe(0);
    expect(majorVersion("")).toBe(0);
  });
  it("reads os-release", () => {
    expect(parseOsRelease('ID=debian\nVERSION_CODENAME=bookworm\nNAME="Debian GNU/Linux"\n')).toEqual({
      ID: "debian",
      VERSION_CODENAME: "bookworm",
      NAME: "Debian GNU/Linux",
    });
  });
});
