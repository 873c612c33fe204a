/** Which Python package index to fetch from: the user's settings name it, the library names none. */
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { TorchSearchError } from "../errors";

/** Package indexes, and what names them. */
export interface IndexSetting {
  /** Addresses of simple indexes, the first one first. */
  indexes: string[];
  /** Such as `PIP_INDEX_URL`. */
  from: string;
}

/** In an address, it stands for `cpu`, or for what `--cuda` names. */
export const VARIANT = "{variant}";

/**
 * The index: `--index`, else `TORCHSEARCH_PYTHON_INDEX`, else `torchsearch-index` of npm's settings, else what pip is
 * set to (`PIP_INDEX_URL` with `PIP_EXTRA_INDEX_URL`, then its files).
 *
 * @param given the option's value; null without it
 * @param variant `cpu`, or a tag such as `cu126`
 * @throws `ERR_SETUP_INDEX` where nothing names one, or what does is not an address over HTTPS
 */
export function indexSetting(given: string | null, variant: string): IndexSetting {
  const { env } = process;
  const one = (url: string | undefined | null, from: string): IndexSetting[] =>
    url ? [{ indexes: [url], from }] : [];
  const [setting] = [
    ...one(given, "--index"),
    ...one(env.TORCHSEARCH_PYTHON_INDEX, "TORCHSEARCH_PYTHON_INDEX"),
    ...one(env.npm_config_torchsearch_index, "npm's setting torchsearch-index"),
    ...one(fromNpmrc(), "torchsearch-index in .npmrc"),
    ...withExtra(env.PIP_INDEX_URL, env.PIP_EXTRA_INDEX_URL, "PIP_INDEX_URL"),
    ...fromPipFiles(),
  ];
  if (setting === undefined) {
    throw new TorchSearchError(
      "ERR_SETUP_INDEX",
      "No package index is set, so there is nowhere to fetch PyTorch from. Set TORCHSEARCH_PYTHON_INDEX to the address " +
        "that PyTorch's installation page gives after --index-url (for CUDA too: write {variant} for its last part), or " +
        "give it as --index, or set index-url in pip's configuration.",
    );
  }
  return {
    ...setting,
    indexes: setting.indexes.map((url) => requireSafe(url.replaceAll(VARIANT, variant), setting.from)),
  };
}

/** Hashes come from the index, so nobody may change its pages on the way. */
export function requireSafe(address: string, from: string): string {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    throw new TorchSearchError("ERR_SETUP_INDEX", `${from} is not an address: ${JSON.stringify(address)}.`);
  }
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  if (url.protocol === "https:" || (url.protocol === "http:" && local)) return address.replace(/\/+$/, "");
  throw new TorchSearchError(
    "ERR_SETUP_INDEX",
    `${from} names an address without HTTPS, where anybody on the way could change the files: ${url.origin}. Use an https:// one.`,
  );
}

function withExtra(index: string | undefined, extra: string | undefined, from: string): IndexSetting[] {
  const indexes = [index, ...(extra ?? "").split(/\s+/)].filter((url): url is string => Boolean(url));
  return indexes.length === 0 ? [] : [{ indexes, from }];
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** The project's file, then the user's. `${NAME}` stands for a variable, as in npm. */
function fromNpmrc(): string | undefined {
  const files = [path.resolve(".npmrc"), path.join(os.homedir(), ".npmrc")];
  for (const file of files) {
    const value = /^\s*torchsearch-index\s*=\s*(.+?)\s*$/m.exec(read(file))?.[1];
    if (value !== undefined) return value.replaceAll(/\$\{(\w+)\}/g, (_, name) => process.env[name] ?? "");
  }
  return undefined;
}

/** pip's own files, the first one that names an index. */
function fromPipFiles(): IndexSetting[] {
  const home = os.homedir();
  const config = process.env.XDG_CONFIG_HOME || path.join(home, ".config");
  const files = [
    process.env.PIP_CONFIG_FILE,
    process.env.VIRTUAL_ENV && path.join(process.env.VIRTUAL_ENV, "pip.conf"),
    path.join(home, "Library", "Application Support", "pip", "pip.conf"),
    path.join(config, "pip", "pip.conf"),
    path.join(home, ".pip", "pip.conf"),
    "/etc/pip.conf",
  ];
  for (const file of files) {
    if (!file) continue;
    const text = read(file);
    const value = (key: string): string | undefined =>
      new RegExp(`^\\s*${key}\\s*=\\s*((?:\\S+)(?:\\s*\\n[ \\t]+\\S+)*)`, "m").exec(text)?.[1];
    const [found] = withExtra(value("index-url"), value("extra-index-url"), file);
    if (found !== undefined) return [found];
  }
  return [];
}
