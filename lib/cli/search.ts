/** `torchsearch search` and `torchsearch resume`. */
import { existsSync } from "node:fs";
import path from "node:path";

import type { Command } from "commander";
import { joinGroup } from "../distributed/join";
import { commandLine } from "./command-line";
import { untilInterrupted } from "./interrupt";
import { trustArguments } from "./load-model";
import { declare } from "./options/declare";
import { print, printJson, say } from "./output";
import type { SearchRequest } from "./request";
import { formatOutcome } from "./search-outcome";
import { startLiveLine } from "./search-progress";
import { completeRequest, recordedRequest } from "./search-request";
import { runSearch } from "./search-run";
import { readSearchCheckpoint } from "./stored-files";
import { endWithStarter } from "./with-starter";

interface OutputOptions {
  json?: boolean;
  verbose?: boolean;
  distributed?: boolean;
}

/** Runs a request: with a live line, stopped by Ctrl-C, the outcome printed. */
async function perform(
  request: SearchRequest,
  args: readonly string[],
  { json = false, verbose = false, distributed = false }: OutputOptions,
): Promise<void> {
  const remedies = {
    resume: () =>
      existsSync(request.checkpoint)
        ? commandLine(["resume", path.relative(process.cwd(), request.checkpoint), ...trustArguments()])
        : null,
    again: commandLine(args),
  };
  const outcome = await untilInterrupted(remedies, async (signal) => {
    if (distributed) endWithStarter();
    const group = distributed ? await joinGroup({ signal }) : null;
    const speaks = group === null || group.rank === 0;
    // Lines of a verbose search and a live line would overwrite each other.
    const live = verbose || !speaks ? { onProgress: () => {}, stop: () => {} } : startLiveLine();
    const print = (line: string): void => {
      live.stop();
      if (speaks) say(line);
    };
    const context = { args, signal, onProgress: live.onProgress, say: print, verbose, group };
    try {
      return await runSearch(request, context);
    } finally {
      live.stop();
      await group?.leave();
    }
  });
  if (outcome === null) return; // rank 0 has it
  if (json) printJson(outcome);
  else print(formatOutcome(outcome));
}

async function resume(file: string, given: OutputOptions & { output?: string | null }): Promise<void> {
  const checkpoint = await readSearchCheckpoint(file);
  const annotations = checkpoint.settings.annotations as { command?: string[] } | undefined;
  const recorded = recordedRequest(annotations, file);
  const request = {
    ...recorded,
    checkpoint: path.resolve(file),
    output: given.output ?? recorded.output,
  };
  await perform(request, annotations?.command ?? ["resume", file], given);
}

/** Adds `torchsearch search` and `torchsearch resume`. */
export function addSearchCommands(program: Command): void {
  declare(program, "search", (model, given) =>
    perform(completeRequest(model, given), process.argv.slice(2), given),
  );
  declare(program, "resume", resume);
}
