import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { TorchSearchError } from "../../lib/errors";
import { type AddonFile, minorOf } from "../../lib/native/addon-files";
import { chooseAddon } from "../../lib/native/load";
import {
  type LibTorch,
  listLibTorchCandidates,
  locateLibTorch,
  readLibTorchVersion,
} from "../../lib/native/locate";
import { sharedLibrary } from "../../lib/native/paths";

let folder: string;

/** Writes a file below the test's folder, making its folders. */
function write(file: string, text: string): string {
  const full = path.join(folder, file);
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, text);
  return full;
}

/** A folder that looks like a PyTorch wheel of that version. */
function fakeTorch(name: string, version: string): string {
  write(
    path.join(name, "version.py"),
    `from typing import Optional\n__version__ = '${version}'\ncuda = None\n`,
  );
  for (const library of ["c10", "torch_cpu"]) write(path.join(name, "lib", sharedLibrary(library)), "");
  return path.join(folder, name);
}

/** A `python3` that answers with `torch`, and counts in the file `asked` how often it was asked. */
function fakePython(torch: string | null, importFolder: string): void {
  const answer = JSON.stringify({ torch, path: [importFolder] });
  const file = write(
    "bin/python3",
    `#!/bin/sh\nprintf x >> "${path.join(folder, "asked")}"\necho '${answer}'\n`,
  );
  chmodSync(file, 0o755);
}

const timesAsked = () => readFileSync(path.join(folder, "asked"), "utf8").length;

function refusal(run: () => unknown): TorchSearchError {
  try {
    run();
  } catch (error) {
    if (error instanceof TorchSearchError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-locate-"));
  for (const name of ["TORCHSEARCH_LIBTORCH", "LIBTORCH", "VIRTUAL_ENV", "CONDA_PREFIX"])
    vi.stubEnv(name, "");
  vi.stubEnv("XDG_CACHE_HOME", path.join(folder, "cache"));
  vi.stubEnv("PATH", `${path.join(folder, "bin")}:/bin:/usr/bin`);
  fakePython(null, folder);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe("locateLibTorch", () => {
  it("prefers TORCHSEARCH_LIBTORCH to LIBTORCH, that to the active Python, that to the project's own", () => {
    fakePython(fakeTorch("python", "2.13.1+cu130"), folder);
    expect(locateLibTorch()).toMatchObject({ source: "python", version: "2.13.1+cu130", minor: "2.13" });
    vi.stubEnv("LIBTORCH", fakeTorch("generic", "2.12.0"));
    expect(locateLibTorch()).toMatchObject({ source: "LIBTORCH", minor: "2.12" });
    vi.stubEnv("TORCHSEARCH_LIBTORCH", fakeTorch("ours", "2.11.0+cpu"));
    expect(locateLibTorch()).toMatchObject({ source: "TORCHSEARCH_LIBTORCH", minor: "2.11", cuda: false });
    expect(listLibTorchCandidates().map((candidate) => candidate.source)).toEqual([
      "TORCHSEARCH_LIBTORCH",
      "LIBTORCH",
      "setup",
      "python",
      "project",
    ]);
  });

  it("tells a build with CUDA from one without", () => {
    const root = fakeTorch("cuda", "2.13.0+cu130");
    write(path.join("cuda", "lib", sharedLibrary("torch_cuda")), "");
    vi.stubEnv("LIBTORCH", root);
    expect(locateLibTorch().cuda).toBe(true);
  });

  it("refuses a variable that is wrong, naming it, rather than passing it over", () => {
    vi.stubEnv("LIBTORCH", fakeTorch("generic", "2.12.0"));
    for (const wrong of [path.join(folder, "nowhere"), folder, "relative/path"]) {
      vi.stubEnv("TORCHSEARCH_LIBTORCH", wrong);
      const error = refusal(locateLibTorch);
      expect(error.code).toBe("ERR_LIBTORCH_NOT_FOUND");
      expect(error.message).toContain("TORCHSEARCH_LIBTORCH");
      expect(error.message).toContain(wrong);
    }
    const unversioned = fakeTorch("unversioned", "2.13.0");
    rmSync(path.join(unversioned, "version.py"));
    vi.stubEnv("TORCHSEARCH_LIBTORCH", unversioned);
    expect(refusal(locateLibTorch).message).toContain("version is unknown");
  });

  it("looks into the active virtual environment without starting Python", () => {
    const root = fakeTorch("venv/lib/python3.11/site-packages/torch", "2.13.0+cpu");
    vi.stubEnv("VIRTUAL_ENV", path.join(folder, "venv"));
    expect(locateLibTorch()).toMatchObject({ source: "python", root });
    expect(timesAsked).toThrow("ENOENT");
  });

  it("asks Python once, and again when a package was installed", () => {
    const packages = path.join(folder, "packages");
    mkdirSync(packages);
    fakePython(null, packages);
    const python = () => listLibTorchCandidates().find((candidate) => candidate.source === "python");
    expect(python()).toMatchObject({ problem: expect.stringContaining("has no torch") });
    python();
    expect(timesAsked()).toBe(1);
    utimesSync(packages, new Date(1e12), new Date(1e12));
    python();
    expect(timesAsked()).toBe(2);
  });

  it("says why Python could not be asked", () => {
    chmodSync(write("bin/python3", "#!/bin/sh\necho 'no such version' >&2\nexit 127\n"), 0o755);
    const python = listLibTorchCandidates().find((candidate) => candidate.source === "python");
    expect(python).toMatchObject({ problem: expect.stringContaining("no such version") });
  });
});

describe("versions", () => {
  it("are read from a wheel, from the LibTorch archive, and from the headers", () => {
    expect(readLibTorchVersion(fakeTorch("wheel", "2.14.1+cu130"))).toBe("2.14.1+cu130");
    write("archive/build-version", "2.12.1+cpu\n");
    expect(readLibTorchVersion(path.join(folder, "archive"))).toBe("2.12.1+cpu");
    const header =
      "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 3\n";
    write("headers/include/torch/headeronly/version.h", header);
    expect(readLibTorchVersion(path.join(folder, "headers"))).toBe("2.11.3");
    expect(readLibTorchVersion(path.join(folder, "nothing"))).toBeUndefined();
  });

  it("have a minor version, to which the ABI belongs", () => {
    expect(minorOf("2.13.0+cpu")).toBe("2.13");
    expect(minorOf("2.13")).toBe("2.13");
    expect(minorOf("nightly")).toBeUndefined();
  });
});

describe("chooseAddon", () => {
  const libTorch: LibTorch = {
    source: "LIBTORCH",
    root: "/there",
    version: "2.12.1+cpu",
    minor: "2.12",
    cuda: false,
  };
  const build = (kind: AddonFile["kind"], torch: string): AddonFile => ({
    kind,
    torch,
    file: `${kind} ${torch}`,
    loader: "",
  });

  it("takes the build of LibTorch's minor version, a prebuilt too when the local build is another's", () => {
    const files = [build("local build", "2.13"), build("prebuilt", "2.11"), build("prebuilt", "2.12")];
    expect(chooseAddon(libTorch, files)).toBe(files[2]);
    files.unshift(build("local build", "2.12"));
    expect(chooseAddon(libTorch, files)).toBe(files[0]);
  });

  it("names both versions when none fits", () => {
    const error = refusal(() => chooseAddon(libTorch, [build("local build", "2.13")]));
    expect(error.code).toBe("ERR_LIBTORCH_MISMATCH");
    expect(error.message).toMatch(/2\.12\.1\+cpu.*2\.13 \(local build\)/);
  });

  it("says how to build when there is no build", () => {
    const error = refusal(() => chooseAddon(libTorch, []));
    expect(error.code).toBe("ERR_ADDON_NOT_FOUND");
    expect(error.message).toContain("npm run setup");
  });
});
