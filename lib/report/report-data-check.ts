/** Whether a value is the data of a report, as far as a program may have got it wrong by hand. */
import { expected, isRecord } from "../util/check";
import type { ReportData } from "./data";

const text = (value: unknown): boolean => typeof value === "string";
const list = (value: unknown): boolean => Array.isArray(value);
const yesOrNo = (value: unknown): boolean => typeof value === "boolean";
const number = (value: unknown): boolean => typeof value === "number";
const texts = (value: unknown): boolean => Array.isArray(value) && value.every(text);
const orNull =
  (accepts: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === null || accepts(value);

/** The kind of each entry. */
const KINDS: Readonly<Record<keyof ReportData, (value: unknown) => boolean>> = {
  model: text,
  source: text,
  searcher: text,
  scoreTitle: text,
  full: isRecord,
  best: orNull(isRecord),
  bounds: isRecord,
  measurements: list,
  stopped: number,
  heldOut: orNull(isRecord),
  widths: list,
  operators: list,
  formats: list,
  densities: list,
  pattern: orNull(text),
  sensitivity: list,
  milp: orNull(isRecord),
  inputs: orNull(list),
  seconds: orNull(number),
  command: orNull(texts),
  folder: orNull(text),
  versions: isRecord,
  fingerprint: text,
  settings: isRecord,
  finished: yesOrNo,
  progress: orNull(isRecord),
  date: orNull(text),
  dataDigests: list,
  measured: orNull(isRecord),
  simulated: yesOrNo,
  noise: isRecord,
  next: orNull(texts),
  finetuned: orNull(isRecord),
  undershot: list,
  latency: orNull(isRecord),
};

/** Refuses what is no data of a report. @throws `ERR_ARGUMENT` */
export function requireReportData(data: unknown): void {
  if (!isRecord(data)) throw expected("ERR_ARGUMENT", "what readReportData gives", "data", data);
  for (const [key, accepts] of Object.entries(KINDS))
    if (!accepts(data[key]))
      throw expected("ERR_ARGUMENT", "what readReportData gives", `data.${key}`, data[key]);
}
