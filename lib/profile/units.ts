/** Numbers as people read them. */

/** 1814073344 -> "1.814 G"; below a thousand, as it is. */
export function formatCount(count: number): string {
  const units = ["", " k", " M", " G", " T", " P"];
  let value = count;
  let unit = 0;
  // 999.95 k would be rounded to 1000 k.
  while (unit < units.length - 1 && Math.abs(value) >= 999.95) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? String(count) : `${value.toPrecision(4)}${units[unit]}`;
}

/** Bytes in binary units: 46830592 -> "44.66 MiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (unit < units.length - 1 && value >= 1023.95) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${bytes} B` : `${value.toPrecision(4)} ${units[unit]}`;
}

/** 0.6 -> "60.0 %". */
export function formatPercent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Milliseconds: "0.0123 ms", "12.34 ms", "2.345 s". */
export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toPrecision(4)} s`;
  if (milliseconds < 0.00005) return "0 ms";
  return `${milliseconds >= 0.1 ? milliseconds.toPrecision(4) : milliseconds.toFixed(4)} ms`;
}

/** Bits of a weight, which formats mix: "5.97". */
export function formatBits(bits: number): string {
  return bits.toFixed(2);
}

/** [1, 3, 224, 224] -> "1x3x224x224"; a tensor without dimensions is "scalar". */
export function formatShape(shape: readonly number[]): string {
  return shape.length === 0 ? "scalar" : shape.join("x");
}
