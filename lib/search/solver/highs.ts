/** Mixed-integer linear programs, solved by HiGHS (npm package `highs`, WebAssembly) on a thread of its own. */
import { Worker } from "node:worker_threads";
import type { Highs } from "highs";

import { TorchSearchError } from "../../errors";
import { abortError, throwIfAborted } from "../../util/abort";

/** Minimize `costs · x` for rows `lower <= A x <= upper` and 0 <= x <= 1. */
export interface MilpProgram {
  /** Objective coefficient of each variable. */
  costs: number[];
  /** Whether each variable must be whole. */
  integer: boolean[];
  rows: MilpRow[];
}

/** A linear constraint. */
export interface MilpRow {
  /** Positions of variables, each at most once, and their coefficients. */
  at: number[];
  values: number[];
  lower: number;
  upper: number;
}

/** How far to go. */
export interface MilpOptions {
  /** Stop when the gap between solution and bound is at most this share of the objective. */
  gap: number;
  /** Stop after so many seconds, or null for no limit. */
  timeLimit: number | null;
  /** A solution to start from. */
  start: number[] | null;
  /** Ends the solver's thread. */
  signal: AbortSignal | null;
  /** Receives the best objective and its bound now and then. */
  onProgress: ((objective: number, bound: number) => void) | null;
}

/** What the solver found. */
export interface MilpSolution {
  /** `optimal` within the gap; `limit` when time ran out first; `infeasible` when no solution exists. */
  status: "optimal" | "limit" | "infeasible";
  /** Values of the variables; null when none were found. */
  x: number[] | null;
  /** What the values cost. */
  objective: number;
  /** No solution costs less: the dual bound. */
  bound: number;
}

/** What the solver's thread is started with. */
interface Task {
  /** Where the package is. */
  highs: string;
  program: MilpProgram;
  gap: number;
  timeLimit: number | null;
  start: number[] | null;
}

type Message = { progress: [number, number] } | { solution: MilpSolution } | { failure: string };

/**
 * Solves a program. The solver computes on its own thread, so that the event loop stays free, and is deterministic
 * unless it runs out of time.
 *
 * @throws `ERR_ABORTED`; `ERR_SOLVER` when HiGHS fails or refuses the program
 */
export async function solveMilp(program: MilpProgram, options: MilpOptions): Promise<MilpSolution> {
  const { gap, timeLimit, start, signal, onProgress } = options;
  throwIfAborted(signal);
  const task: Task = { highs: require.resolve("highs"), program, gap, timeLimit, start };
  // A string rather than a file: it runs alike from lib/, from dist/ and from a bundle.
  const worker = new Worker(`(${solverThread.toString()})()`, { eval: true, workerData: task, execArgv: [] });
  let stop: () => void = () => {};
  try {
    return await new Promise<MilpSolution>((resolve, reject) => {
      stop = () => reject(abortError(signal as AbortSignal));
      signal?.addEventListener("abort", stop);
      worker.on("message", (message: Message) => {
        if ("progress" in message) onProgress?.(...message.progress);
        else if ("solution" in message) resolve(message.solution);
        else reject(solverError(message.failure));
      });
      worker.on("error", (error) => reject(solverError(error.message, error)));
      worker.on("exit", (code) => reject(solverError(`its thread ended with code ${code}`)));
    });
  } finally {
    signal?.removeEventListener("abort", stop);
    await worker.terminate();
  }
}

function solverError(reason: string, cause?: unknown): TorchSearchError {
  return new TorchSearchError(
    "ERR_SOLVER",
    `The integer program could not be solved: ${reason}. Please report it with the model, or use another searcher.`,
    { cause },
  );
}

/** Runs on the thread. It is handed over as text, and so must not refer to anything outside itself. */
function solverThread(): void {
  const { parentPort, workerData } = require("node:worker_threads") as typeof import("node:worker_threads");
  const { highs: file, program, gap, timeLimit, start } = workerData as Task;
  const post = (message: Message): void => parentPort?.postMessage(message);
  const solve = (highs: Highs): MilpSolution => {
    const { costs, integer, rows } = program;
    const { variableType, modelStatus, callbackType } = highs.constants;
    const starts = [0];
    for (const { at } of rows) starts.push((starts.at(-1) as number) + at.length);
    const model = highs.createModel({
      numCols: costs.length,
      numRows: rows.length,
      colCost: costs,
      colLower: costs.map(() => 0),
      colUpper: costs.map(() => 1),
      rowLower: rows.map(({ lower }) => lower),
      rowUpper: rows.map(({ upper }) => upper),
      matrix: {
        format: "csr",
        numRows: rows.length,
        numCols: costs.length,
        starts,
        indices: rows.flatMap(({ at }) => at),
        values: rows.flatMap(({ values }) => values),
      },
      integrality: integer.map((whole) => (whole ? variableType.integer : variableType.continuous)),
    });
    model.options.set({
      // Without output there are no progress events either.
      output_flag: true,
      log_to_console: false,
      mip_rel_gap: gap,
      mip_abs_gap: 1e-9,
      mip_feasibility_tolerance: 1e-7,
    });
    if (timeLimit !== null) model.options.set("time_limit", timeLimit);
    if (start !== null) model.setSolution({ colValue: start });
    const { modelStatus: status } = model.run({
      [callbackType.mipLogging]: ({
        data,
      }: {
        data: { mip_primal_bound?: number; mip_dual_bound?: number };
      }) => {
        post({ progress: [data.mip_primal_bound ?? Number.NaN, data.mip_dual_bound ?? Number.NaN] });
      },
    });
    if (status === modelStatus.infeasible) {
      return { status: "infeasible", x: null, objective: Number.NaN, bound: Number.NaN };
    }
    if (status !== modelStatus.optimal && status !== modelStatus.timeLimit) {
      throw new Error(`HiGHS ended with model status ${status}`);
    }
    const bound = Number(model.info.get("mip_dual_bound"));
    const found =
      Number(model.info.get("primal_solution_status")) === highs.constants.solutionStatus.feasible;
    return {
      status: status === modelStatus.optimal ? "optimal" : "limit",
      x: found ? [...model.getSolution().colValue] : null,
      objective: found ? model.getObjectiveValue() : Number.NaN,
      bound,
    };
  };
  (require(file) as () => Promise<Highs>)()
    .then((highs) => post({ solution: solve(highs) }))
    .catch((error: unknown) => post({ failure: error instanceof Error ? error.message : String(error) }));
}
