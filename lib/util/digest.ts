import { createHash } from "node:crypto";

/** Hexadecimal SHA-256 of a value's JSON. */
export function jsonDigest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
