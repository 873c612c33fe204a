// Numbers and tables in Markdown.

/** Three significant digits, with thousands separated. */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return value === 0 ? "0" : Number(value.toPrecision(3)).toString();
}

/** `1.23 x (1.1–1.3)`: the median of ratios and their range. */
export function ratio({ median, min, max }) {
  return `${number(median)} x (${number(min)}–${number(max)})`;
}

/** `12 (11–14)`: the median and the range. */
export function ranged({ median, min, max }, factor = 1) {
  return `${number(median * factor)} (${number(min * factor)}–${number(max * factor)})`;
}

/** A Markdown table; the first column is text, the others are numbers. */
export function table(header, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(header), line(header.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}
