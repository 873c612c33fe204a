/** Mutations of checkpoints: files whose digest is wrong, and files that were forged with a right one. */
import { createHash } from "node:crypto";

import type { Dice } from "../dice";
import { safetensors, takeApart } from "./arrays";
import { mutatedJson, otherToken } from "./json";
import { JSON_VALUES } from "./values";

/** What a checkpoint's header holds. */
export interface Header {
  __metadata__: Record<string, string>;
  [name: string]: unknown;
}

export function mutatedCheckpoint(base: Buffer, dice: Dice): Buffer {
  switch (dice.below(6)) {
    case 0:
      return dice.flipped(base, 1 + dice.below(4), 0, Math.min(base.length, 3000));
    case 1:
      return dice.cut(base);
    case 2:
      return dice.spliced(base);
    case 3: {
      const { header, data } = takeApart(base);
      return safetensors(otherToken(header, dice), data);
    }
    default:
      return forged(base, dice);
  }
}

/** Other metadata, with the digest that belongs to it. */
function forged(base: Buffer, dice: Dice): Buffer {
  const { header: text, data } = takeApart(base);
  const header = JSON.parse(text) as Header;
  const metadata = header.__metadata__;
  const key = dice.below(2) === 0 ? "state" : dice.pick(Object.keys(metadata));
  if (dice.below(8) === 0) delete metadata[key];
  else
    metadata[key] =
      dice.below(3) === 0
        ? dice.pick(JSON_VALUES)
        : mutatedJson(Buffer.from(metadata[key] ?? ""), dice).toString();
  // Files of earlier versions have none; with it, nothing forged would be read.
  if (dice.below(8) !== 0) delete metadata.frame_digest;
  if (key !== "digest") metadata.digest = digestOf(header, data);
  return safetensors(header, data);
}

/** The base with metadata that `edit` changes, and the digest that belongs to it. */
export function forgedBy(base: Buffer, edit: (metadata: Record<string, string>) => void): Buffer {
  const { header: text, data } = takeApart(base);
  const header = JSON.parse(text) as Header;
  const metadata = header.__metadata__;
  edit(metadata);
  // Earlier versions wrote none, and it would be another one.
  delete metadata.frame_digest;
  metadata.digest = digestOf(header, data);
  return safetensors(header, data);
}

/** As the format says: SHA-256 over the state, and the tensors' bytes in the order of their names. */
function digestOf(header: Header, data: Buffer): string {
  const hash = createHash("sha256").update(header.__metadata__.state ?? "");
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  for (const name of names.sort()) {
    const [begin, end] = (header[name] as { data_offsets: [number, number] }).data_offsets;
    hash.update(data.subarray(begin, end));
  }
  return hash.digest("hex");
}
