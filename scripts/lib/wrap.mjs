// Wraps the prose of pages that scripts write, at the width that `npm run lint` checks.

const WIDTH = 120;

function wrapLine(line) {
  const indent = /^(\s*(?:[-*] )?)/.exec(line)[1].length;
  const lines = [];
  // Code keeps its spaces.
  for (const word of line.match(/(?:`[^`]*`|\S)+/g)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${" ".repeat(lines.length === 0 ? /^\s*/.exec(line)[0].length : indent)}${word}`);
  }
  return lines.join("\n");
}

/** A page's Markdown with its long lines wrapped, but for tables, headings and code blocks. */
export function wrapped(markdown) {
  let code = false;
  return markdown
    .split("\n")
    .map((line) => {
      if (line.startsWith("```")) code = !code;
      return code || line.length <= WIDTH || /^[|#<]/.test(line) ? line : wrapLine(line);
    })
    .join("\n");
}
