/** Tables for a terminal. */

/** A column of {@link formatTable}. */
export interface TableColumn {
  title: string;
  /** Use right for numbers; default left. */
  align?: "left" | "right";
}

/**
 * Formats rows in columns for a terminal: a header, a line, and the rows. After another line come the `footer` rows. No
 * line ends in spaces.
 */
export function formatTable(
  columns: readonly TableColumn[],
  rows: readonly string[][],
  footer: readonly string[][] = [],
): string {
  const header = columns.map((column) => column.title);
  const widths = columns.map((_, i) =>
    Math.max(...[header, ...rows, ...footer].map((row) => (row[i] ?? "").length)),
  );
  const line = (row: readonly string[]): string =>
    columns
      .map((column, i) => {
        const cell = row[i] ?? "";
        const width = widths[i] ?? 0;
        return column.align === "right" ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  const lines = [line(header), rule, ...rows.map(line)];
  if (footer.length > 0) lines.push(rule, ...footer.map(line));
  return `${lines.join("\n")}\n`;
}
