/** One relay a folder: two would give out each other's codes and write into each other's files. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Takes the folder; a relay that was killed has left its lock, which is passed over. Returns what gives it back. */
export function lockFolder(path: string): () => void {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const owner = Number(readFileSync(path, "utf8"));
    if (owner > 0 && owner !== process.pid && isRunning(owner))
      throw new Error(
        `another relay (process ${owner}) uses this folder: end it, or choose another with --relay-data; if process ${owner} is something else, delete ${path}`,
      );
    rmSync(path, { force: true });
  }
}
