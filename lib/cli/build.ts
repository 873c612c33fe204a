/** `torchsearch build`: compiles the addon where no prebuilt one fits. */
import { spawn } from "node:child_process";
import path from "node:path";

import type { Command } from "commander";

import { TorchSearchError } from "../errors";
import { locateLibTorch } from "../native/locate";
import { packageRoot } from "../native/paths";
import { declare, type GivenOf } from "./options/declare";
import { print, printJson, say } from "./output";

async function run({ json = false }: GivenOf<"build">): Promise<void> {
  const libTorch = locateLibTorch();
  say(`Building for LibTorch ${libTorch.version} (${libTorch.root}).`);
  const script = path.join(packageRoot, "scripts", "build-native.mjs");
  // The output of the build goes to standard error.
  const child = spawn(process.execPath, [script], {
    stdio: ["ignore", 2, 2],
    env: { ...process.env, TORCHSEARCH_LIBTORCH: libTorch.root },
  });
  const end = await new Promise<string | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code === 0 ? null : (signal ?? `exit code ${code}`)));
  });
  if (end !== null) {
    throw new TorchSearchError(
      "ERR_ADDON_BUILD",
      `The addon could not be built (${end}); see its output above. A build needs CMake 3.18, ninja or make, and ` +
        "a C++20 compiler (Debian: apt-get install cmake ninja-build g++).",
    );
  }
  if (json) printJson({ torch: libTorch.version, libTorch: libTorch.root });
  else print("Built. `torchsearch doctor` shows what is used.\n");
}

/** Adds `torchsearch build`. */
export function addBuildCommand(program: Command): void {
  declare(program, "build", (_, given) => run(given));
}
