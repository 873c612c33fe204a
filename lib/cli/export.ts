import path from "node:path";

import type { Command } from "commander";
import { readCheckpoint } from "../contract/checkpoint";
import { closeTensors } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import type { SearchRecord } from "../model/history";
import type { SpaceSearchState } from "../search/width/space-searcher";
import type { SearchSpace } from "../space/search-space";
import type { SubnetConfig } from "../space/types";
import { isRecord } from "../util/check";
import { commandLine } from "./command-line";
import { type ImageOptions, imageRequest } from "./image-options";
import { untilInterrupted } from "./interrupt";
import { openData } from "./open-data";
import { badOption } from "./options";
import { printJson, requireOutput } from "./output";
import { addDataOptions, addSpaceOptions } from "./search";
import { modeOf, WIDTH_MODES } from "./search-modes";
import {
  REQUEST_DEFAULTS,
  readJson,
  recordedRequest,
  resolveEntry,
  type SearchRequest,
} from "./search-request";
import { exampleInput, loadModel } from "./search-run";

interface ExportCommandOptions extends ImageOptions {
  config?: string;
  checkpoint?: string;
  output: string;
  data?: string[];
  inputArray?: string[];
  targetArray?: string;
  batchSize?: number;
  shuffle?: boolean;
  seed?: number;
  calibrationBatches?: number;
  recalibrate?: boolean;
  input?: string[];
  device?: string;
  mode?: string;
  channelDivisor?: number;
  importance?: string;
  json?: boolean;
}

/** What is to be exported, and how. */
type ExportRequest = Omit<
  SearchRequest,
  | "constraints"
  | "latencyTable"
  | "threads"
  | "searcher"
  | "searcherOptions"
  | "score"
  | "topK"
  | "holdout"
  | "evalData"
  | "evalInputArrays"
  | "evalTargetArray"
  | "checkpoint"
>;

async function run(model: string, options: ExportCommandOptions, command: Command): Promise<void> {
  const { widths, recorded, fingerprint, search } = await widthsOf(options);
  const given = (name: "shuffle" | "recalibrate"): boolean | undefined =>
    command.getOptionValueSource(name) === "cli" ? options[name] : undefined;
  const flags = {
    data: options.data?.map((entry) => resolveEntry(entry)),
    inputArrays: options.inputArray,
    targetArray: options.targetArray,
    batchSize: options.batchSize,
    images: imageRequest(options),
    shuffle: given("shuffle"),
    seed: options.seed,
    calibrationBatches: options.calibrationBatches,
    recalibrate: given("recalibrate"),
    input: options.input,
    device: options.device,
    mode: options.mode,
    channelDivisor: options.channelDivisor,
    importance: options.importance,
  };
  const request: ExportRequest = {
    ...REQUEST_DEFAULTS,
    ...recorded,
    ...Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)),
    model: path.resolve(model),
    output: path.resolve(options.output),
  };
  const again = commandLine(process.argv.slice(2));
  const costs = await untilInterrupted({ resume: () => null, again }, (signal) =>
    exportSubnet(request, widths, { fingerprint, search }, signal),
  );
  if (options.json) {
    printJson({ model: request.model, output: request.output, ...costs });
    return;
  }
  process.stdout.write(`Saved the subnet as ${request.output}\n`);
}

interface Choice {
  widths: SubnetConfig;
  recorded: Partial<SearchRequest>;
  /** Of the search space that the widths belong to; null when not known. */
  fingerprint: string | null;
  /** What the history says of the search; null when there was none. */
  search: SearchRecord | null;
}

/** The widths asked for, and what the search that found them recorded. */
async function widthsOf({ config, checkpoint: file }: ExportCommandOptions): Promise<Choice> {
  if ((config === undefined) === (file === undefined)) {
    throw badOption(
      "Say which subnet: with --config (JSON, widths by name) or --checkpoint (the best one there).",
    );
  }
  if (config !== undefined)
    return { widths: readJson(config) as SubnetConfig, recorded: {}, fingerprint: null, search: null };
  const checkpoint = await readCheckpoint(file as string);
  if (checkpoint === null) {
    throw new TorchSearchError("ERR_CHECKPOINT_READ", `Checkpoint ${file} does not exist.`);
  }
  const { best } = checkpoint.state as unknown as SpaceSearchState;
  if (!isRecord(best)) {
    throw new TorchSearchError(
      "ERR_CLI_CHECKPOINT",
      `${file} has no best subnet yet: go on with the search (torchsearch resume) until it has one.`,
    );
  }
  const recorded = recordedRequest(checkpoint.settings.annotations, file as string);
  if (!(WIDTH_MODES as readonly string[]).includes(recorded.mode)) {
    throw badOption(
      `${file} holds a search of mode ${recorded.mode}, which made its result itself: ` +
        `torchsearch resume ${file} --output FILE saves it again.`,
    );
  }
  return {
    widths: best.config,
    recorded,
    fingerprint: checkpoint.fingerprint,
    search: isRecord(checkpoint.settings.search)
      ? (checkpoint.settings.search as unknown as SearchRecord)
      : null,
  };
}

async function exportSubnet(
  request: ExportRequest,
  widths: SubnetConfig,
  { fingerprint, search }: Pick<Choice, "fingerprint" | "search">,
  signal: AbortSignal,
): Promise<{ config: SubnetConfig; costs: Record<string, number>; recalibrated: boolean }> {
  const module = await loadModel(request, signal);
  const closing: { close(): void }[] = [module];
  try {
    await requireOutput(request.output);
    const data = request.data.length > 0 ? await openData(request) : null;
    if (data !== null) closing.push(data.loader);
    const dummyInput = exampleInput(request, data);
    closing.push({ close: () => closeTensors(dummyInput) });
    const { convert } = modeOf(request);
    const context = { signal, onProgress: () => {} };
    const space = (await convert(module, dummyInput, request, data, context)) as SearchSpace;
    closing.push(space);
    if (fingerprint !== null && fingerprint !== (await space.fingerprint())) {
      throw new TorchSearchError(
        "ERR_CHECKPOINT_MODEL",
        `The checkpoint belongs to another model than ${request.model}, or to one converted with other settings.`,
      );
    }
    space.select(widths);
    // As in a search, the full model keeps the statistics that it came with.
    const narrowed = space.hyperparameters.some(({ active, full }) => active < full);
    const recalibrated = data !== null && request.recalibrate && narrowed;
    if (data !== null && recalibrated) {
      await space.recalibrate(data.loader, {
        signal,
        collectFunc: data.collect as ((batch: never) => unknown) | null,
        maxBatches: request.calibrationBatches ?? request.maxBatches,
      });
    }
    const subnet = await space.export({ signal, search });
    closing.push(subnet);
    await subnet.save(request.output, { signal });
    return { config: space.active, costs: space.costs(space.active), recalibrated };
  } finally {
    for (const each of closing.reverse()) each.close();
  }
}

/** Adds `torchsearch export`. */
export function addExportCommand(program: Command): void {
  const command = program
    .command("export")
    .description("save one subnet of a model: given widths, or the best of a search")
    .argument("<model>", "a TorchScript file (torch.jit.save)")
    .option(
      "--config <file>",
      "JSON: the width of each hyperparameter by name; what it leaves out stays full",
    )
    .option("--checkpoint <file>", "take the best subnet of this search, with its data and settings")
    .requiredOption("--output <file>", "where the subnet goes");
  addDataOptions(command);
  addSpaceOptions(command, WIDTH_MODES)
    .option("--json", "print one JSON document on standard output")
    .action(run);
}
