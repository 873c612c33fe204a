import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

import { TorchSearchError } from "../errors";
import { minorOf, minorsOfAddons } from "./addon-files";
import { downloadedLibTorch } from "./downloads";
import { packageRoot, SETUP_COMMAND, sharedLibrary, torchFoldersOf } from "./paths";
import { findPythonTorch } from "./python";

/** The places where LibTorch is looked for, in order. */
export type LibTorchSource = "TORCHSEARCH_LIBTORCH" | "LIBTORCH" | "setup" | "python" | "project";

/** A LibTorch that can be used. */
export interface LibTorch {
  /** Where it was found. */
  source: LibTorchSource;
  /** Folder that holds `lib/` (and, for building, `include/`). */
  root: string;
  /** Full version, such as `2.13.0+cpu`. */
  version: string;
  /** `major.minor`, to which LibTorch's C++ ABI belongs, such as `2.13`. */
  minor: string;
  /** Whether it carries CUDA libraries. */
  cuda: boolean;
}

/** One place where LibTorch was looked for: a usable LibTorch, or the reason why it isn't one. */
export type LibTorchCandidate =
  | { source: LibTorchSource; found: LibTorch }
  | { source: LibTorchSource; root?: string; problem: string };

/** How to get a LibTorch: the version that the addon here was built for. */
function remedy(): string {
  const minors = minorsOfAddons();
  const version = minors.length === 0 ? "2.11 or newer" : minors.join(" or ");
  const first =
    SETUP_COMMAND === null
      ? `Run \`npx torchsearch setup\`, which fetches PyTorch ${minors[0] ?? ""} without Python, or install`.replace(
          "  ",
          " ",
        )
      : "Run `npm run setup` in torchsearch's folder, or install";
  return `${first} PyTorch ${version} in the active Python, or set TORCHSEARCH_LIBTORCH to the folder that holds LibTorch's lib/.`;
}

/** The version of the LibTorch at `root`, read from its files; no Python is run. */
export function readLibTorchVersion(root: string): string | undefined {
  const read = (...parts: string[]): string => {
    try {
      return readFileSync(path.join(root, ...parts), "utf8");
    } catch {
      return "";
    }
  };
  // A wheel has version.py, the LibTorch archive has build-version; both name the build (+cpu, +cu130) too.
  const wheel = /^__version__\s*=\s*['"]([^'"]+)['"]/m.exec(read("version.py"))?.[1];
  if (wheel !== undefined) return wheel;
  const archive = read("build-version").trim();
  if (archive !== "") return archive;
  for (const header of ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"]) {
    const text = read("include", ...header.split("/"));
    const number = (part: string) => new RegExp(`^#define TORCH_VERSION_${part} (\\d+)`, "m").exec(text)?.[1];
    const numbers = [number("MAJOR"), number("MINOR"), number("PATCH")];
    if (numbers.every((part) => part !== undefined)) return numbers.join(".");
  }
  return undefined;
}

/** Looks at one folder; `lib/libtorch_cpu` and a readable version make it a LibTorch. */
function inspect(source: LibTorchSource, root: string): LibTorchCandidate {
  if (!path.isAbsolute(root)) {
    return { source, root, problem: `"${root}" is not an absolute path` };
  }
  if (!existsSync(root) || !statSync(root).isDirectory()) {
    return { source, root, problem: `there is no folder ${root}` };
  }
  for (const name of ["c10", "torch_cpu"]) {
    const library = path.join(root, "lib", sharedLibrary(name));
    if (!existsSync(library)) return { source, root, problem: `there is no ${library}` };
  }
  const version = readLibTorchVersion(root);
  const minor = version === undefined ? undefined : minorOf(version);
  if (version === undefined || minor === undefined) {
    return {
      source,
      root,
      problem: `its version is unknown: there is no version.py, build-version or version.h in ${root}`,
    };
  }
  const cuda = existsSync(path.join(root, "lib", sharedLibrary("torch_cuda")));
  return { source, found: { source, root, version, minor, cuda } };
}

function fromVariable(source: "TORCHSEARCH_LIBTORCH" | "LIBTORCH"): LibTorchCandidate {
  const value = process.env[source];
  return value ? inspect(source, value) : { source, problem: "not set" };
}

/** What `torchsearch setup` fetched, for a build of the addon that is here. */
function fromSetup(): LibTorchCandidate {
  const found = downloadedLibTorch(minorsOfAddons());
  return "problem" in found ? { source: "setup", problem: found.problem } : inspect("setup", found.root);
}

function fromPython(): LibTorchCandidate {
  const python = findPythonTorch();
  return python.torch === undefined
    ? { source: "python", problem: python.problem }
    : inspect("python", python.torch);
}

function fromProject(): LibTorchCandidate {
  const venv = path.join(packageRoot, ".torch");
  const [root] = torchFoldersOf(venv);
  return root === undefined
    ? { source: "project", problem: `nothing downloaded in ${venv}` }
    : inspect("project", root);
}

const PLACES: (() => LibTorchCandidate)[] = [
  () => fromVariable("TORCHSEARCH_LIBTORCH"),
  () => fromVariable("LIBTORCH"),
  fromSetup,
  fromPython,
  fromProject,
];

/** Every place, also those after the one that is used. For `torchsearch doctor`. */
export function listLibTorchCandidates(): LibTorchCandidate[] {
  return PLACES.map((look) => look());
}

/**
 * The LibTorch to use: the first one found of `TORCHSEARCH_LIBTORCH`, `LIBTORCH`, what `torchsearch setup` fetched, the
 * active Python's torch, and the one that `npm run setup` downloaded. A variable that is set and wrong is an error: the user's choice is never
 * silently replaced.
 *
 * @throws TorchSearchError `ERR_LIBTORCH_NOT_FOUND`
 */
export function locateLibTorch(): LibTorch {
  const looked: string[] = [];
  for (const look of PLACES) {
    const candidate = look();
    if ("found" in candidate) return candidate.found;
    if (process.env[candidate.source]) {
      throw new TorchSearchError(
        "ERR_LIBTORCH_NOT_FOUND",
        `The environment variable ${candidate.source} names no LibTorch: ${candidate.problem}. ` +
          "Set it to the folder that holds LibTorch's lib/, or unset it.",
      );
    }
    looked.push(`${candidate.source}: ${candidate.problem}`);
  }
  throw new TorchSearchError(
    "ERR_LIBTORCH_NOT_FOUND",
    `LibTorch was not found (${looked.join("; ")}). ${remedy()}`,
  );
}
