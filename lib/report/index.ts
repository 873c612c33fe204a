/** Reports of searches: one HTML file that explains the outcome and needs no other file. */
import { existsSync } from "node:fs";
import path from "node:path";
import { Worker } from "node:worker_threads";

import { TorchSearchError } from "../errors";
import { writeFileAtomic } from "../util/atomic-file";
import { shellCommand } from "../util/shell";
import { unwritableFile } from "../util/unwritable";
import { makePens } from "./charts/draw";
import { type ReportData, readReportData } from "./data";
import { type PrintedCommands, page } from "./page";
import { requireReportData } from "./report-data-check";

export {
  type ReportCosts,
  type ReportData,
  type ReportDensity,
  type ReportFormats,
  type ReportMeasurement,
  type ReportOperator,
  type ReportRating,
  type ReportSensitivity,
  type ReportWidth,
  readReportData,
  reportDataOf,
} from "./data";
export type { ReportChange, ReportProgress, RunFacts } from "./run-facts";

/**
 * Draws a report: an HTML page with its charts as SVG. It needs no network and follows the reader's colour scheme. A
 * worker thread draws it.
 *
 * @param data see {@link readReportData}
 * @returns the page's text
 * @throws `ERR_ARGUMENT` for other data
 */
export async function renderReport(data: ReportData): Promise<string> {
  requireReportData(data);
  const printed = (args: string[] | null): string | null =>
    args === null ? null : shellCommand("torchsearch", args);
  const commands = { command: printed(data.command), next: printed(data.next) };
  const thread = path.join(__dirname, "render-thread.js");
  // Without a file for the thread: the library was bundled into one file, or runs from its sources.
  try {
    if (!existsSync(thread)) return page(data, await makePens(), commands).text;
    return await renderInThread(thread, data, commands);
  } catch (error) {
    // Entries of entries are not checked one by one.
    throw new TorchSearchError(
      "ERR_ARGUMENT",
      `A report of these data can't be drawn (${(error as Error).message}); pass what readReportData gives.`,
      { cause: error },
    );
  }
}

/** Plot draws a few thousand marks a second without a pause, which would block the event loop. */
async function renderInThread(file: string, data: ReportData, commands: PrintedCommands): Promise<string> {
  const worker = new Worker(file, { workerData: { data, commands }, execArgv: [] });
  try {
    return await new Promise<string>((resolve, reject) => {
      worker.on("message", resolve);
      worker.on("error", reject);
      worker.on("exit", (code) => reject(new Error(`the report's thread ended with code ${code}`)));
    });
  } finally {
    await worker.terminate();
  }
}

/**
 * Makes the report of a search from its checkpoint, finished or not.
 *
 * @param stateFile a checkpoint of any searcher of a `SearchSpace`
 * @param outputFile the file for the page; an earlier file is replaced, or kept when something fails
 * @throws what {@link readReportData} throws; `ERR_FILE_WRITE`
 *
 * @example
 * ```ts
 * await search(space, { flops: "60%" }, dummyInput, { scoreFunc, maxChoices: 1, checkpoint: "search.safetensors" });
 * await writeReport("search.safetensors", "report.html");
 * ```
 */
export async function writeReport(stateFile: string, outputFile: string): Promise<void> {
  const text = await renderReport(await readReportData(stateFile));
  try {
    await writeFileAtomic(outputFile, [Buffer.from(text)]);
  } catch (error) {
    throw unwritableFile(`The report ${outputFile}`, error);
  }
}
