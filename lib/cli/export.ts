/** `torchsearch export`. */
import path from "node:path";

import type { Command } from "commander";
import { closeTensors } from "../data/raw-tensor";
import { TorchSearchError } from "../errors";
import { type FileFormat, formatOf } from "../model/file-format";
import type { SearchRecord } from "../model/history";
import type { SearchSpace } from "../space/search-space";
import type { SpaceSearchState, SubnetConfig } from "../space/types";
import { isRecord } from "../util/check";
import { commandLine } from "./command-line";
import { requireApart } from "./file-roles";
import { openFitting } from "./fitting-data";
import { untilInterrupted } from "./interrupt";
import { hasWidths } from "./modes";
import { declare, type GivenOf } from "./options/declare";
import { badOption } from "./options/kinds";
import { readJson } from "./options/settings";
import { defaultsOf } from "./options/table";
import { print, printJson, requireOutput, say } from "./output";
import type { DataRequest, SearchRequest, SpaceRequest } from "./request";
import { adapterOf } from "./search-modes";
import { recordedRequest } from "./search-request";
import { exampleInput, loadModel } from "./search-run";
import { readSearchCheckpoint } from "./stored-files";

/** The subnet's model, data and settings. */
type ExportRequest = DataRequest &
  SpaceRequest &
  Pick<SearchRequest, "dtype" | "recalibrate" | "calibrationBatches" | "maxBatches" | "output"> & {
    /** Whether layers make up for the channels that they lack. */
    reconstruct: boolean;
    to: FileFormat | "recipe" | null;
  };

async function run(model: string, given: GivenOf<"export">): Promise<void> {
  const { widths, recorded, fingerprint, search } = await widthsOf(given);
  const { json, config: _config, checkpoint: _checkpoint, ...asked } = given;
  const request: ExportRequest = {
    ...defaultsOf("export"),
    modeOptions: {},
    maxBatches: null,
    ...recorded,
    ...asked,
    model: path.resolve(model),
    output: given.output as string,
  };
  const again = commandLine(process.argv.slice(2));
  const costs = await untilInterrupted({ resume: () => null, again }, (signal) =>
    exportSubnet(request, widths, { fingerprint, search }, signal),
  );
  if (json) printJson({ model: request.model, output: request.output, ...costs });
  else print(`Saved the subnet as ${request.output}\n`);
}

interface ExportOutcome {
  config: SubnetConfig;
  costs: Record<string, number>;
  recalibrated: boolean;
  /** How many layers were reconstructed. */
  reconstructedLayers: number;
}

interface Choice {
  widths: SubnetConfig;
  recorded: Partial<SearchRequest>;
  /** Fingerprint of the search space that the widths belong to; null when it is not known. */
  fingerprint: string | null;
  /** The record of the search for the history; null without a search. */
  search: SearchRecord | null;
}

/** The widths asked for, the settings of the search that they come from, and its record if it found them. */
async function widthsOf({ config = null, checkpoint: file = null }: GivenOf<"export">): Promise<Choice> {
  if (config === null && file === null) {
    throw badOption(
      "Choose the subnet: with --config (JSON, widths by name) or --checkpoint (the best one there); with both, --config " +
        "gives the widths, and the checkpoint the example input, the data and the settings.",
    );
  }
  const given = config === null ? null : (readJson(config) as SubnetConfig);
  if (file === null) return { widths: given as SubnetConfig, recorded: {}, fingerprint: null, search: null };
  const { state, settings, fingerprint } = await readSearchCheckpoint(file);
  const recorded = recordedRequest(settings.annotations, file);
  if (!hasWidths(recorded.mode)) {
    throw badOption(
      `${file} holds a search of mode ${recorded.mode}, which saved its result itself: ` +
        `torchsearch resume ${file} --output FILE saves it again.`,
    );
  }
  if (given !== null) return { widths: given, recorded, fingerprint, search: null };
  const { best } = state as unknown as SpaceSearchState;
  if (!isRecord(best)) {
    throw new TorchSearchError(
      "ERR_CLI_CHECKPOINT",
      `${file} has no best subnet yet: continue the search (torchsearch resume) until it has one.`,
    );
  }
  const search = isRecord(settings.search) ? (settings.search as unknown as SearchRecord) : null;
  return { widths: best.config, recorded, fingerprint, search };
}

async function exportSubnet(
  request: ExportRequest,
  widths: SubnetConfig,
  { fingerprint, search }: Pick<Choice, "fingerprint" | "search">,
  signal: AbortSignal,
): Promise<ExportOutcome> {
  requireApart({ "--output": request.output }, { model: request.model, "--data": request.data });
  const module = await loadModel(request, signal);
  const closing: { close(): void }[] = [module];
  try {
    const { to } = request;
    if (to !== "recipe") formatOf(request.output, to);
    await requireOutput(request.output);
    if (request.reconstruct && request.data.length === 0)
      throw badOption(
        "--reconstruct fits weights to data: give --data, or the checkpoint of a search that had some.",
      );
    const data = request.data.length > 0 ? await openFitting(request, module, "train", say) : null;
    if (data !== null) closing.push(data.loader);
    const dummyInput = exampleInput(request, data, module);
    closing.push({ close: () => closeTensors(dummyInput) });
    const { convert } = adapterOf(request);
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
    // As in a search, the full model keeps its own statistics.
    const narrowed = space.hyperparameters.some(({ active, full }) => active < full);
    const recalibrated = data !== null && request.recalibrate && narrowed;
    const maxBatches = request.calibrationBatches ?? request.maxBatches;
    const layers =
      data !== null && request.reconstruct
        ? await space.reconstruct(data.loader, { signal, collectFunc: data.collect, maxBatches })
        : [];
    if (data !== null && recalibrated) {
      await space.recalibrate(data.loader, {
        signal,
        collectFunc: data.collect as ((batch: never) => unknown) | null,
        maxBatches,
      });
    }
    if (to === "recipe") await space.saveRecipe(request.output, { signal });
    else {
      const subnet = await space.export({ signal, search });
      closing.push(subnet);
      await subnet.save(request.output, { signal, format: to });
    }
    return {
      config: space.active,
      costs: space.costs(space.active),
      recalibrated,
      reconstructedLayers: layers.length,
    };
  } finally {
    for (const each of closing.reverse()) each.close();
  }
}

/** Adds `torchsearch export`. */
export function addExportCommand(program: Command): void {
  declare(program, "export", run);
}
