/** Settings as the arguments that would give them. */

import { writeFile } from "node:fs/promises";
import path from "node:path";
import { stemOf } from "../../model/file-format";

import { isRecord } from "../../util/check";
import type { CommandName } from "./commands";
import { colors, constraints, type Kind, namesInFile, share } from "./kinds";
import { type ImageRequest, type OptionsOf, rowsOf } from "./table";

/**
 * The arguments that give settings other than the defaults, with paths relative to this folder. Lists that a file gives
 * (`--image-classes`) are left out: {@link classesArguments} gives them.
 */
export function argumentsFor<Name extends CommandName>(
  name: Name,
  settings: Partial<OptionsOf<Name>>,
): string[] {
  const values = settings as Record<string, unknown>;
  const relative = (file: string): string => path.relative(process.cwd(), file) || ".";
  return rowsOf(name).flatMap(({ flag, key, kind, default: usual }) => {
    const [top = key, inner] = key.split(".");
    const whole = values[top];
    const given = inner === undefined ? whole : isRecord(whole) ? whole[inner] : undefined;
    if (given === undefined || given === null || kind === namesInFile) return [];
    if (JSON.stringify(given) === JSON.stringify(usual)) return [];
    const [word = flag] = flag.split(" ");
    if (typeof given === "boolean") return given !== word.startsWith("--no-") ? [word] : [];
    return [word, ...written(kind, kind.resolve?.(given, relative) ?? given)];
  });
}

/** The argument that names an image folder's classes: they are saved beside `model`, as NAME.classes.txt. */
export async function classesArguments(images: ImageRequest | null, model: string): Promise<string[]> {
  if (images?.classes === undefined) return [];
  const file = `${stemOf(model)}.classes.txt`;
  await writeFile(file, `${images.classes.join("\n")}\n`);
  return ["--image-classes", path.relative(process.cwd(), file)];
}

function written(kind: Kind<unknown>, value: unknown): string[] {
  if (kind === share) return [`${Number((100 * (value as number)).toPrecision(12))}%`];
  if (kind === colors) return [(value as number[]).join()];
  if (isRecord(value)) {
    const text = (each: unknown): string =>
      kind === constraints || typeof each === "string" ? String(each) : JSON.stringify(each);
    return Object.entries(value).map(([key, each]) => `${key}=${text(each)}`);
  }
  return Array.isArray(value) ? value.map(String) : [String(value)];
}
