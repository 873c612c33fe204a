// Runs all stages of one model in one form and returns a record. A model's crash must not end the run.
import { fork } from "node:child_process";
import { statSync } from "node:fs";
import path from "node:path";

import { root } from "../lib/run.mjs";
import { watch } from "./limits.mjs";
import { CONVERTED } from "./models.mjs";

export const STAGES = [
  ...["make", "load", "profile", "time", "convert", "prune", "export", "verify", "train"],
  ...["decompose", "onnx"],
];

/** The first stage that did not hold, with its code and message, or undefined. */
export function failureOf(record) {
  const stage = STAGES.find((name) => record.stages[name]?.status === "failed");
  return stage && { stage, ...record.stages[stage] };
}

const CHILD = path.join(root, "scripts", "zoo", "child.mjs");

/** Runs a child's task; puts its stages and facts into the record. */
function runChild(request, limits, record) {
  return new Promise((resolve) => {
    const child = fork(CHILD, [JSON.stringify(request)], {
      env: { ...process.env, OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? "1" },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let stderr = "";
    let running = null;
    let failed = false;
    let breach = null;
    child.stderr.on("data", (chunk) => {
      stderr = (stderr + chunk).slice(-2000);
    });
    child.on("message", ({ stage, status, facts = {}, ...rest }) => {
      if (status === "begun") {
        running = stage;
        return;
      }
      running = null;
      failed ||= status === "failed";
      record.stages[stage] = { status, ...rest };
      const { memory, ...others } = facts;
      Object.assign(record, others);
      if (memory) record.memory[request.task] = memory;
    });
    const unwatch = watch(child, limits, (error) => {
      breach = error;
    });
    child.once("error", (error) => {
      stderr += error.message;
    });
    child.once("close", (code, signal) => {
      unwatch();
      if (breach !== null || running !== null || signal !== null || (code !== 0 && !failed)) {
        const end = signal ? `signal ${signal}` : `exit code ${code}`;
        record.stages[running ?? request.task] = {
          status: "failed",
          ...(breach ?? { code: "CRASH", message: `${end}; ${stderr.trim().slice(-500)}` }),
        };
      }
      resolve();
    });
  });
}

const allOk = (record, ...stages) => stages.every((stage) => record.stages[stage]?.status === "ok");

/** @returns whether the stage held */
async function ask(verifier, stage, request, limits, record, facts) {
  const answer = await verifier.ask(request, limits);
  if (answer.failure) {
    record.stages[stage] = { status: "failed", ...answer.failure };
    return false;
  }
  for (const [key, name] of Object.entries(facts)) {
    if (answer[key] !== undefined && answer[key] !== null) record[name] = answer[key];
  }
  const { ok, error, reason, seconds } = answer;
  record.stages[stage] = ok
    ? { status: "ok", seconds }
    : { status: "failed", seconds, code: "PYTHON", message: reason, details: String(error).slice(-1500) };
  return ok;
}

/**
 * Checks a model's file.
 *
 * @param {object} model of models.mjs
 * @param {{ file: string, expectation: string | null, folder: string }} made where its files are
 * @param {{ verifier: PythonService, limits: object, record: object }} run
 */
export async function checkModel(model, { file, expectation, folder }, { verifier, limits, record }) {
  record.fileBytes = statSync(file).size;
  await runChild({ task: "profile", file, expectation, oracle: model }, limits, record);
  if (model.kind === "detection") return;

  const exported = record.form === "pt2";
  const subnetFile = path.join(folder, exported ? "subnet.pt2" : "subnet.pt");
  const tensorsFile = path.join(folder, "subnet.safetensors");
  await runChild({ task: "prune", file, expectation, subnetFile, tensorsFile }, limits, record);
  if (!allOk(record, "convert", "prune", "export")) return;

  record.subnetBytes = statSync(subnetFile).size;
  const names = { maxAbsDiff: "maxAbsDiff", keysMissing: "keysMissing" };
  const comparison = { model: subnetFile, inputs: tensorsFile, expected: tensorsFile, original: file };
  const equal = await ask(verifier, "verify", { ...comparison, tolerance: 1e-5 }, limits, record, names);
  if (equal) requireRelative(record);
  const training = { model: subnetFile, inputs: tensorsFile, trainStep: true, steps: 1 };
  await ask(verifier, "train", training, limits, record, {
    lossBefore: "lossBefore",
    lossAfter: "lossAfter",
    trainSamples: "trainSamples",
  });
  if (!exported || !CONVERTED.includes(record.name)) return;
  for (const stage of ["decompose", "onnx"])
    await ask(
      verifier,
      stage,
      { ...comparison, original: undefined, source: file, way: stage },
      limits,
      record,
      {
        maxAbsDiff: `${stage}Difference`,
        absent: `${stage}Absent`,
        sourceFails: `${stage}SourceFails`,
      },
    );
}

/** Random weights may give tiny outputs, which would pass an absolute bound; so the bound is 1e-5 of their own size. */
function requireRelative(record) {
  record.relativeDifference = record.maxAbsDiff / record.magnitude;
  if (record.relativeDifference <= 1e-5) return;
  record.stages.verify = {
    ...record.stages.verify,
    status: "failed",
    code: "OUTPUT_DIFFERS",
    message: `In Python the output differs by ${record.relativeDifference.toExponential(2)} of its size.`,
  };
}
