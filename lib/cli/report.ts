/** `torchsearch report`. */
import path from "node:path";

import type { Command } from "commander";

import { readReportData, writeReport } from "../report";
import { requireApart } from "./file-roles";
import { declare, type GivenOf } from "./options/declare";
import { print, printJson } from "./output";
import { readSearchCheckpoint } from "./stored-files";

async function run(state: string, { output: asked, json = false }: GivenOf<"report">): Promise<void> {
  await readSearchCheckpoint(state);
  const beside = `${path.basename(state).replace(/\.[^.]+$/, "")}.html`;
  const output = asked ?? path.resolve(path.dirname(state), beside);
  requireApart({ "--output": output }, { "the checkpoint": state });
  await writeReport(state, output);
  if (json) printJson({ output, ...(await readReportData(state)) });
  else print(`Wrote the report ${output}\n`);
}

/** Adds `torchsearch report`. */
export function addReportCommand(program: Command): void {
  declare(program, "report", run);
}
