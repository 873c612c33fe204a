/** `torchsearch setup`: fetches LibTorch where there is none, with or without Python. */
import type { Command } from "commander";

import { setupLibTorch } from "../setup/setup-libtorch";
import type { ProgressEvent } from "../util/progress";
import { commandLine } from "./command-line";
import { untilInterrupted } from "./interrupt";
import { declare, type GivenOf } from "./options/declare";
import { badOption } from "./options/kinds";
import { print, printJson, say } from "./output";

async function run(given: GivenOf<"setup">): Promise<void> {
  const { json = false, torch = null, cuda = null, index = null, python = true, headers = false } = given;
  if (torch !== null && !/^2\.\d+$/.test(torch))
    throw badOption(`--torch takes a minor version, such as 2.13, not "${torch}".`);
  const variant = cuda === true ? "cuda" : (cuda ?? "cpu");
  if (!/^(cpu|cuda|cu\d+)$/.test(variant))
    throw badOption(`--cuda takes a tag such as cu126, not "${variant}".`);
  let last = 0;
  const onProgress = ({ phase, done, total }: ProgressEvent): void => {
    if (phase !== "download" || performance.now() - last < 2000) return;
    last = performance.now();
    const mib = (count: number): string => (count / 2 ** 20).toFixed(0);
    say(`${mib(done)}${total === null ? "" : ` of ${mib(total)}`} MiB`);
  };
  const again = commandLine(["setup", ...process.argv.slice(3)]);
  const result = await untilInterrupted({ resume: () => null, again }, (signal) =>
    setupLibTorch({ torch, variant, index, python, headers, say, signal, onProgress }),
  );
  if (json) printJson(result);
  else {
    const state = result.fetched ? "is ready" : "was there already";
    print(
      `LibTorch ${result.version} ${state}: ${result.root}\n\`torchsearch doctor\` shows what is used.\n`,
    );
  }
}

/** Adds `torchsearch setup`. */
export function addSetupCommand(program: Command): void {
  declare(program, "setup", (_, given) => run(given));
}
