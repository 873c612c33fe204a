import path from "node:path";

import type { Command } from "commander";

import { readReportData, writeReport } from "../report";
import { printJson } from "./output";

interface ReportCommandOptions {
  output?: string;
  json?: boolean;
}

async function run(state: string, options: ReportCommandOptions): Promise<void> {
  const beside = `${path.basename(state).replace(/\.[^.]+$/, "")}.html`;
  const output = path.resolve(options.output ?? path.join(path.dirname(state), beside));
  await writeReport(state, output);
  if (options.json) printJson({ output, ...(await readReportData(state)) });
  else process.stdout.write(`Wrote the report ${output}\n`);
}

/** Adds `torchsearch report`. */
export function addReportCommand(program: Command): void {
  program
    .command("report")
    .description("explain a search in one HTML file, from its checkpoint, finished or not")
    .argument("<state>", "a checkpoint of a search (*.search.safetensors)")
    .option("--output <file>", "where the page goes (default: beside the checkpoint, *.html)")
    .option("--json", "print what the report tells as one JSON document on standard output")
    .action(run);
}
