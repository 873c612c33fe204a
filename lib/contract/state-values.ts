/**
 * The values that a search's state may hold, how they are copied, and how a checkpoint encodes them as JSON.
 *
 * Allowed: null, undefined, booleans, strings, numbers (NaN, ±Infinity and -0 too), bigints, typed arrays, tensors,
 * and arrays, plain records, Maps and Sets of allowed values. Anything else (functions, class instances, cycles) is
 * refused with `ERR_STATE_VALUE` and the path to it. Records without a prototype are read back with one.
 *
 * A value that JSON can't hold is encoded as an object with one key that starts with `$`:
 *
 *     {"$number": "NaN" | "Infinity" | "-Infinity" | "-0"}   {"$bigint": "123"}   {"$undefined": true}
 *     {"$tensor": NAME}   {"$array": NAME, "type": "Float32Array"}    NAME is a tensor of the safetensors file
 *     {"$map": [[key, value], …]}   {"$set": [value, …]}
 *     {"$record": [[key, value], …]}                                  a record that has a key starting with `$`
 */

import { isTensor, tensorClone, tensorFromRaw, tensorToRaw } from "../data/raw-tensor";
import type { RawTensor, SafetensorsDtype } from "../data/safetensors";
import { TorchSearchError } from "../errors";
import { describe, isRecord, isTypedArray } from "../util/check";

interface ArrayKind {
  dtype: SafetensorsDtype;
  make(buffer: ArrayBuffer): NodeJS.TypedArray;
}

const ARRAY_KINDS: Readonly<Record<string, ArrayKind>> = {
  Int8Array: { dtype: "I8", make: (buffer) => new Int8Array(buffer) },
  Uint8Array: { dtype: "U8", make: (buffer) => new Uint8Array(buffer) },
  Uint8ClampedArray: { dtype: "U8", make: (buffer) => new Uint8ClampedArray(buffer) },
  Int16Array: { dtype: "I16", make: (buffer) => new Int16Array(buffer) },
  Uint16Array: { dtype: "U16", make: (buffer) => new Uint16Array(buffer) },
  Int32Array: { dtype: "I32", make: (buffer) => new Int32Array(buffer) },
  Uint32Array: { dtype: "U32", make: (buffer) => new Uint32Array(buffer) },
  Float32Array: { dtype: "F32", make: (buffer) => new Float32Array(buffer) },
  Float64Array: { dtype: "F64", make: (buffer) => new Float64Array(buffer) },
  BigInt64Array: { dtype: "I64", make: (buffer) => new BigInt64Array(buffer) },
  BigUint64Array: { dtype: "U64", make: (buffer) => new BigUint64Array(buffer) },
};

/** A typed array's class name; a Node Buffer is a Uint8Array. */
function kindOf(array: NodeJS.TypedArray): string {
  return Object.prototype.toString.call(array).slice("[object ".length, -1);
}

/** An encoded state: JSON for the structure, and tensors by name. */
export interface EncodedState {
  json: unknown;
  tensors: Map<string, RawTensor>;
}

/** Encodes a state. The names of tensors are their paths in it, such as `history.3.widths`. */
export function encodeState(state: Readonly<Record<string, unknown>>): EncodedState {
  const tensors = new Map<string, RawTensor>();
  const open = new Set<object>();

  const add = (path: string, tensor: RawTensor): string => {
    let name = path;
    for (let i = 1; tensors.has(name); i++) name = `${path}#${i}`; // keys with dots may give one path twice
    // Copied, so that the state is written as it is now, even if the search changes it meanwhile.
    tensors.set(name, { ...tensor, bytes: tensor.bytes.slice() });
    return name;
  };

  const encode = (value: unknown, path: string): unknown => {
    if (value === null || typeof value === "boolean" || typeof value === "string") return value;
    if (value === undefined) return { $undefined: true };
    if (typeof value === "bigint") return { $bigint: String(value) };
    if (typeof value === "number") {
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $number: Object.is(value, -0) ? "-0" : String(value) };
    }
    if (typeof value !== "object") throw refuse(path, value);
    if (isTensor(value)) return { $tensor: add(path, tensorToRaw(value)) };
    if (isTypedArray(value)) {
      const kind = ARRAY_KINDS[kindOf(value)];
      if (kind === undefined) throw refuse(path, value);
      const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      return { $array: add(path, { dtype: kind.dtype, shape: [value.length], bytes }), type: kindOf(value) };
    }
    if (open.has(value)) {
      throw new TorchSearchError(
        "ERR_STATE_VALUE",
        `state.${path} contains itself; a state must be a tree of values`,
      );
    }
    open.add(value);
    try {
      const pair = (key: unknown, inner: unknown, name: string): unknown[] => [
        encode(key, `${name}.key`),
        encode(inner, name),
      ];
      if (Array.isArray(value)) return Array.from(value, (inner, i) => encode(inner, `${path}.${i}`));
      if (value instanceof Map) {
        return {
          $map: [...value].map(([key, inner], i) =>
            pair(key, inner, `${path}.${typeof key === "string" ? key : i}`),
          ),
        };
      }
      if (value instanceof Set) return { $set: [...value].map((inner, i) => encode(inner, `${path}.${i}`)) };
      if (!isRecord(value)) throw refuse(path, value);
      const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [
        key,
        encode(inner, `${path}.${key}`),
      ]);
      return entries.some(([key]) => key.startsWith("$") || key === "__proto__")
        ? { $record: entries }
        : Object.fromEntries(entries);
    } finally {
      open.delete(value);
    }
  };

  const json = { $record: Object.entries(state).map(([key, value]) => [key, encode(value, key)]) };
  return { json, tensors };
}

/**
 * Decodes a state. Tensors are new, and typed arrays have buffers of their own.
 *
 * @throws a plain Error when the JSON does not follow the format
 */
export function decodeState({ json, tensors }: EncodedState): Record<string, unknown> {
  const tensor = (name: unknown): RawTensor => {
    const found = typeof name === "string" ? tensors.get(name) : undefined;
    if (found === undefined)
      throw new Error(`its state names the tensor ${JSON.stringify(name)}, which it does not hold`);
    return found;
  };
  const pairs = (value: unknown): [unknown, unknown][] => {
    if (!Array.isArray(value) || !value.every((item) => Array.isArray(item) && item.length === 2)) {
      throw new Error("its state is malformed");
    }
    return value as [unknown, unknown][];
  };
  const list = (value: unknown): unknown[] => {
    if (!Array.isArray(value)) throw new Error("its state is malformed");
    return value;
  };

  const decode = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(decode);
    const record = value as Record<string, unknown>;
    const tag = Object.keys(record)[0];
    if (tag === undefined || !tag.startsWith("$")) {
      return Object.fromEntries(Object.entries(record).map(([key, inner]) => [key, decode(inner)]));
    }
    const inner = record[tag];
    switch (tag) {
      case "$undefined":
        return undefined;
      case "$number":
        return Number(inner);
      case "$bigint":
        return BigInt(inner as string);
      case "$map":
        return new Map(pairs(inner).map(([key, item]) => [decode(key), decode(item)]));
      case "$set":
        return new Set(list(inner).map(decode));
      case "$record":
        return Object.fromEntries(pairs(inner).map(([key, item]) => [key as string, decode(item)]));
      case "$tensor":
        return tensorFromRaw(tensor(inner));
      case "$array": {
        const kind = ARRAY_KINDS[String(record.type)];
        if (kind === undefined)
          throw new Error(`its state has an array of the unknown type ${JSON.stringify(record.type)}`);
        return kind.make(ownBuffer(tensor(inner).bytes));
      }
      default:
        throw new Error(`its state uses ${tag}, which this version does not know`);
    }
  };

  const state = decode(json);
  if (!isRecord(state)) throw new Error("its state is not a record");
  return state;
}

/** Makes a deep copy of a state. */
export function copyState<T>(value: T, path = "state"): T {
  const open = new Set<object>();
  const copy = (item: unknown, at: string): unknown => {
    if (typeof item === "function" || typeof item === "symbol") throw refuse(at, item);
    if (typeof item !== "object" || item === null) return item;
    if (isTensor(item)) return tensorClone(item);
    if (isTypedArray(item)) return item.slice();
    if (open.has(item))
      throw new TorchSearchError(
        "ERR_STATE_VALUE",
        `${at} contains itself; a state must be a tree of values`,
      );
    open.add(item);
    try {
      if (Array.isArray(item)) return Array.from(item, (inner, i) => copy(inner, `${at}.${i}`));
      if (item instanceof Map)
        return new Map(
          [...item].map(([key, inner], i) => [
            copy(key, at),
            copy(inner, `${at}.${typeof key === "string" ? key : i}`),
          ]),
        );
      if (item instanceof Set) return new Set([...item].map((inner, i) => copy(inner, `${at}.${i}`)));
      if (!isRecord(item)) throw refuse(at, item);
      return Object.fromEntries(
        Object.entries(item).map(([key, inner]) => [key, copy(inner, `${at}.${key}`)]),
      );
    } finally {
      open.delete(item);
    }
  };
  return copy(value, path) as T;
}

function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

function refuse(path: string, value: unknown): TorchSearchError {
  return new TorchSearchError(
    "ERR_STATE_VALUE",
    `state.${path} is ${describe(value)}, which a checkpoint can't hold; keep numbers, strings, typed arrays, tensors, and arrays, records, Maps or Sets of those`,
  );
}
