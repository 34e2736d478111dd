/** Codes that are drawn and secrets that are compared. */
import { createHash, randomInt, timingSafeEqual } from "node:crypto";
import { CODE_LETTERS } from "../../src/shared/protocol/live";

/** `length` letters by the operating system's random numbers. */
export const drawCode = (length: number): string =>
  Array.from({ length }, () => CODE_LETTERS[randomInt(CODE_LETTERS.length)]).join("");

/** SHA-256 in hex: what is kept of a secret. The secrets are 256 random bits, so nothing slower is needed. */
export const hashSecret = (secret: string): string => createHash("sha256").update(secret).digest("hex");

/** Takes as long wherever the two differ. */
export function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, "hex"), Buffer.from(b, "hex")];
  return left.length === right.length && left.length === 32 && timingSafeEqual(left, right);
}
