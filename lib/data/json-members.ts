/** Members of a long JSON object, one after the other: parsing it in one go would hold up the event loop. */
import { Breather } from "../util/breather";

const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST] = Array.from('"\\,{}[]', (character) =>
  character.charCodeAt(0),
) as [number, number, number, number, number, number, number];
/** Bytes that are looked at between turns of the event loop. */
const STRETCH = 1 << 16;

/** Whether a byte is JSON's white space. */
const isBlank = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;

/** The members of an object, in their order. @throws Error where the text is no JSON, or names a member twice */
export async function jsonMembers(bytes: Uint8Array): Promise<Map<string, unknown>> {
  const breather = new Breather();
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const members = new Map<string, unknown>();
  let start = 0;
  let end = bytes.length;
  while (isBlank(bytes[start])) start += 1;
  while (end > start && isBlank(bytes[end - 1])) end -= 1;
  if (end - start < 2 || bytes[start] !== OPEN || bytes[end - 1] !== CLOSE)
    throw new Error("it is no object");

  const add = (from: number, to: number): void => {
    // Parsed as an object of its own, so that a name such as __proto__ is one like any other.
    const parsed = Object.entries(JSON.parse(`{${decoder.decode(bytes.subarray(from, to))}}`) as object);
    const [member] = parsed;
    if (member === undefined || parsed.length !== 1) throw new Error("a member is missing");
    if (members.has(member[0])) throw new Error("it names something twice");
    members.set(...member);
  };
  let from = start + 1;
  let depth = 0;
  let quoted = false;
  for (let at = from; at < end - 1; at++) {
    const byte = bytes[at];
    if (quoted) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (byte === OPEN || byte === OPEN_LIST) depth += 1;
    else if (byte === CLOSE || byte === CLOSE_LIST) depth -= 1;
    else if (byte === COMMA && depth === 0) {
      add(from, at);
      from = at + 1;
      await breather.breathe();
    }
    if (at % STRETCH === 0) await breather.breathe();
  }
  const rest = decoder.decode(bytes.subarray(from, end - 1));
  if (members.size > 0 || rest.trim() !== "") add(from, end - 1);
  return members;
}
