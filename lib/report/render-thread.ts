/** Draws one report in a worker thread; see `renderReport`. */
import { parentPort, workerData } from "node:worker_threads";

import { makePen } from "./charts/draw";
import type { ReportData } from "./data";
import { page } from "./page";

const { data, command } = workerData as { data: ReportData; command: string | null };
makePen().then((pen) => parentPort?.postMessage(page(data, pen, command).text));
