/** Draws one report in a worker thread; see `renderReport`. */
import { parentPort, workerData } from "node:worker_threads";

import { makePens } from "./charts/draw";
import type { ReportData } from "./data";
import { type PrintedCommands, page } from "./page";

const { data, commands } = workerData as { data: ReportData; commands: PrintedCommands };
makePens().then((pens) => parentPort?.postMessage(page(data, pens, commands).text));
