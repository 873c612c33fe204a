/** `torchsearch compress`. */

import { existsSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { type CompressResult, compressWith } from "../compress/compress";
import { type CompressOptions, readCompressOptions } from "../compress/options";
import { RATING_TITLES } from "../compress/rating";
import { closeTensors } from "../data/raw-tensor";
import { lossFor } from "../evaluation/losses";
import type { CollectFunction } from "../evaluation/types";
import { stemOf } from "../model/file-format";
import type { Tensor } from "../model/tensor";
import { parseInputs, randomInputs } from "../profile/input-spec";
import { formatCost, METRIC_NAMES, titleOf } from "../profile/metrics";
import { formatMilliseconds, formatPercent } from "../profile/units";
import { formatTable } from "../util/table";
import { commandLine } from "./command-line";
import { digestData } from "./data-digest";
import { requireApart } from "./file-roles";
import { type FittingRequest, openFitting } from "./fitting-data";
import { untilInterrupted } from "./interrupt";
import { givenTrust, loadModelFile } from "./load-model";
import type { OpenData } from "./open-data";
import { declare, type GivenOf } from "./options/declare";
import { badOption, readShare } from "./options/kinds";
import { mergeSettings } from "./options/settings";
import type { OptionsOf } from "./options/table";
import { print, printJson, requireOutput, say } from "./output";
import { formatDuration, startLiveLine } from "./search-progress";
import { requireImageFolder } from "./search-request";
import { requireFiles } from "./stored-files";

interface Request extends OptionsOf<"compress"> {
  model: string;
  output: string;
  checkpoint: string;
}

/** The files of the held-out data; null where they are a share of the others. */
function heldOutFiles({ holdout }: Pick<Request, "holdout">): string[] | null {
  return holdout.length === 1 && readShare(holdout[0] as string) !== null ? null : holdout;
}

async function run(model: string, given: GivenOf<"compress">): Promise<void> {
  const { settings } = mergeSettings("compress", given);
  if (settings.data.length === 0) throw badOption("Compressing needs data: give --data.");
  const stem = stemOf(path.basename(model));
  const output = settings.output ?? path.resolve(`${stem}.small.pt`);
  const checkpoint = settings.checkpoint ?? `${stemOf(output)}.compress.safetensors`;
  const request: Request = { ...settings, model: path.resolve(model), output, checkpoint };
  requireImageFolder(request);
  const files = heldOutFiles(request);
  requireFiles({ "The model": [model], "The data": settings.data, "The held-out data": files ?? [] });
  requireApart(
    { "--output": output, "--checkpoint": checkpoint },
    { model: request.model, "--data": settings.data, "--holdout": files },
  );
  // What is wrong is said before anything is loaded.
  readCompressOptions(optionsOf(request, [] as unknown as CompressOptions["data"], 0));
  const args = process.argv.slice(2);
  const again = commandLine(args);
  const remedies = { resume: () => (existsSync(checkpoint) ? again : null), again };
  const outcome = await untilInterrupted(remedies, async (signal) => {
    const live = startLiveLine();
    const print = (line: string): void => {
      live.stop();
      say(line);
    };
    try {
      return await compressRequest(request, signal, print, live.onProgress);
    } finally {
      live.stop();
    }
  });
  if (settings.json) printJson({ model: request.model, checkpoint, ...outcome });
  else print(formatOutcome(outcome, checkpoint));
}

/** The options of `compress()` that a request has under the same names. */
function optionsOf(request: Request, data: CompressOptions["data"], dummyInput: unknown): CompressOptions {
  const { target, maxDrop, minScore, metric, effort, steps, epochs, searchBatches, searcher, seed } = request;
  const { output, checkpoint, learningRate, channelDivisor, importance, modeOptions, reconstruct } = request;
  const { judgeBy, outputs } = request;
  return {
    data,
    dummyInput,
    output,
    ...{
      target,
      maxDrop,
      minScore,
      metric,
      effort,
      steps,
      epochs,
      searchBatches,
      searcher,
      seed,
      checkpoint,
      reconstruct,
      judgeBy,
      importance,
      outputs,
    },
    convert: { ...modeOptions, channelDivisor },
    ...(learningRate !== null && { finetune: { learningRate } }),
  };
}

async function compressRequest(
  request: Request,
  signal: AbortSignal,
  print: (line: string) => void,
  onProgress: CompressOptions["onProgress"],
): Promise<CompressResult> {
  const { device, seed } = request;
  const closing: { close(): void }[] = [];
  const opened = <T extends { close(): void }>(value: T): T => {
    closing.push(value);
    return value;
  };
  try {
    const module = opened(await loadModelFile(request.model, { device, signal }));
    await requireOutput(request.output);
    const data = await openFitting(request as FittingRequest, module, "train", print);
    opened(data.loader);
    const files = heldOutFiles(request);
    const other =
      files === null
        ? null
        : await openFitting(
            { ...request, data: files, shuffle: false } as FittingRequest,
            module,
            "eval",
            print,
          );
    if (other !== null) opened(other.loader);
    const { specs, numbers } = parseInputs(request.input ?? [], module.signature);
    const dummyInput = specs.length > 0 ? randomInputs(specs, seed, numbers) : data.example();
    closing.push({ close: () => closeTensors(dummyInput) });
    const loss = lossOf(request, data);
    if (loss === null)
      print(
        `${request.model}: no labels are used; the full model's outputs are what is learned and compared with.`,
      );
    const options: CompressOptions = {
      ...optionsOf(request, data.loader as CompressOptions["data"], dummyInput),
      holdout:
        (other?.loader as CompressOptions["data"]) ?? (readShare(request.holdout[0] as string) as number),
      loss,
      ...(data.collect !== null && {
        collectFunc: data.collect as CollectFunction,
        targetFunc:
          loss === null
            ? null
            : (((batch: Record<string, Tensor>) => batch[data.target as string]) as CollectFunction),
      }),
      signal,
      onProgress,
      onStep: print,
    };
    const digests = await digestData([...request.data, ...(heldOutFiles(request) ?? [])], null, signal);
    const digest = digests === null ? null : digests.map((each) => each.digest).join(" ");
    return await compressWith(module, readCompressOptions(options), givenTrust(), digest);
  } finally {
    for (const each of closing.reverse()) each.close();
  }
}

/** What is minimized; null where nothing is learned from targets. */
function lossOf({ labels }: Request, { target, labels: whole, rows }: OpenData) {
  return !labels || target === null || rows === "probabilities" ? null : lossFor(whole);
}

function formatOutcome(outcome: CompressResult, checkpoint: string): string {
  const { rating, fullScore, score, interval, samples, costs, fullCosts, latency, steps } = outcome;
  const points = (value: number): string => (100 * value).toFixed(2);
  const between = interval === null ? "" : ` (95 %: ${points(-interval.high)} to ${points(-interval.low)})`;
  const rows = [
    [
      `held out: ${RATING_TITLES[rating]}`,
      formatPercent(fullScore),
      formatPercent(score),
      `${points(score - fullScore)} points${between}`,
    ],
    ...METRIC_NAMES.filter((metric) => costs[metric] !== undefined).map((metric) => {
      const [before, after] = [fullCosts[metric] as number, costs[metric] as number];
      return [
        titleOf(metric, false),
        formatCost(metric, before),
        formatCost(metric, after),
        formatPercent(after / before),
      ];
    }),
    ...(latency === null
      ? []
      : [
          [
            "latency, measured in turns",
            ...[latency.full, latency.measured].map(formatMilliseconds),
            formatPercent(latency.measured / latency.full),
          ],
        ]),
  ];
  const path = steps.map(
    ({ step, from, end, costs: priced, untrained, learningRate, rating: rated, reason }) => [
      String(step),
      from === 0 ? "full model" : `step ${from}`,
      formatPercent((priced.flops as number) / (fullCosts.flops as number)),
      formatPercent(untrained),
      String(Number(learningRate.toPrecision(2))),
      rated === null ? "" : formatPercent(rated),
      end === "good" ? "good" : `${end}: ${reason}`,
    ],
  );
  const titles = ["step", "from", "FLOPs", "untrained", "learning rate", "trained", "end"].map((title) => ({
    title,
  }));
  return [
    formatTable(
      [{ title: "" }, ...["before", "after", "change"].map((title) => ({ title, align: "right" as const }))],
      rows,
    ),
    `${samples} samples were held out.${outcome.met ? "" : " The target is NOT met: the time was over."}\n\n`,
    formatTable(titles, path),
    `\nTook ${formatDuration(outcome.seconds)}. Model: ${outcome.output}\nCheckpoint: ${checkpoint}\n`,
  ].join("");
}

/** Adds `torchsearch compress`. */
export function addCompressCommand(program: Command): void {
  declare(program, "compress", run);
}
