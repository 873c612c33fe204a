/** Small checks of arguments, and the one way to describe a wrong one. */
import { TorchSearchError } from "../errors";

/** Whether a value is a plain `{}` record: not an array, not an instance of a class. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Whether a value can be called. */
export function isFunction(value: unknown): value is (...args: never[]) => unknown {
  return typeof value === "function";
}

/** Whether a value is a whole number of at least 1. */
export function isPositiveInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** Whether a value is a typed array; a DataView is not. */
export function isTypedArray(value: unknown): value is NodeJS.TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** Refuses options that are no object. @param whose what they belong to @throws `ERR_ARGUMENT` */
export function requireOptions(options: unknown, whose: string): void {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return;
  throw expected("ERR_ARGUMENT", "an object or nothing", `the options of ${whose}`, options);
}

/** Refuses what is no object. @throws `ERR_ARGUMENT` */
export function requireRecord(value: unknown, name: string): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw expected("ERR_ARGUMENT", "an object", name, value);
}

/** Refuses what is no path. @throws `ERR_INPUT` */
export function requirePath(path: unknown, who: string): string {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return path;
  throw new TorchSearchError("ERR_INPUT", `${who} needs the path of a file as a string that is not empty.`);
}

/** Describes a value in a message: the value and its type, in at most about 60 characters. */
export function describe(value: unknown): string {
  if (value === undefined) return "undefined";
  if (value === null) return "null";
  if (typeof value === "string") return `${JSON.stringify(clip(value))} of type string`;
  if (typeof value === "function") return `a function${value.name ? ` (${clip(value.name)})` : ""}`;
  if (typeof value === "symbol") return String(value);
  if (typeof value !== "object") return `${String(value)} of type ${typeof value}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (isRecord(value)) return `an object with keys {${clip(Object.keys(value).join(", "))}}`;
  return `an instance of ${(value.constructor as { name?: string } | undefined)?.name ?? "an unknown class"}`;
}

/** The error for a value of the wrong kind: "expected X for Y but received Z". */
export function expected(code: string, what: string, name: string, received: unknown): TorchSearchError {
  return new TorchSearchError(code, `expected ${what} for ${name} but received ${describe(received)}`);
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
