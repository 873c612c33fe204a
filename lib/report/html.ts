/** HTML as text: interpolated values are escaped, unless they are HTML already. */

/** Text that is HTML. */
export class Html {
  constructor(readonly text: string) {}
}

type Part = string | number | Html | null | readonly Part[];

/** A template whose parts are escaped; null adds nothing, arrays are joined. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(strings.reduce((text, string, i) => text + written(parts[i - 1] as Part) + string));
}

function written(part: Part): string {
  if (part === null) return "";
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map(written).join("");
  return escaped(String(part));
}

/** Text, escaped for HTML and for double-quoted attributes. */
export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** A command that breaks only before its options. */
export function commandBlock(command: string): Html {
  const parts = command.split(/ (?=--\w)/);
  return html`<pre>${parts.map((part, at) => html`${at === 0 ? "" : " "}<span>${part}</span>`)}</pre>`;
}

/** A table; the columns in `numeric` are aligned right. */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly Part[])[],
  numeric: ReadonlySet<number>,
): Html {
  const cell = (at: number): Html => new Html(numeric.has(at) ? ' class="number"' : "");
  return html`<table><caption>${caption}</caption>
<thead><tr>${head.map((title, at) => html`<th scope="col"${cell(at)}>${title}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) =>
      html`<tr>${row.map((part, at) =>
        at === 0 ? html`<th scope="row">${part}</th>` : html`<td${cell(at)}>${part}</td>`,
      )}</tr>`,
  )}</tbody></table>`;
}
