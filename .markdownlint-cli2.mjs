// Lint of the documentation, run by `npm run lint`: structure, lines of at most 120 columns (tables and code excepted),
// and expressions that this project's plain technical English avoids.

/** What to avoid, and what to write instead. */
const AVOID = [
  [
    /(?<!\bthere )\b(?:is|are|was|were) no (?!longer|more|less|slower|faster|larger|smaller|better|worse)\w+/i,
    '"isn\'t a …"',
  ],
  [/(?:^|[.:;] )Of (?:what|which|those|that)\b/, "the subject first"],
  [/\btells?\b|\btold\b/i, '"show", "return", "report" or "record"'],
  [/\bdear\b/i, '"expensive"'],
  [/\bamid\b/i, '"in" or "among"'],
  [/\bheed(?:s|ed)?\b/i, '"follow" or "read"'],
  [/\bmend(?:s|ed)?\b/i, '"fix"'],
  [/\blearnt\b/i, '"learned" or "found out"'],
  [/\b(?:whoever|somebody)\b/i, '"a user", "a caller"'],
];

/** All text outside code, as pieces of a line. */
function* textOf(tokens) {
  for (const token of tokens) {
    if (token.type === "data") yield token;
    else if (!/^code|^html/.test(token.type)) yield* textOf(token.children);
  }
}

const plainEnglish = {
  names: ["plain-english"],
  description: "Expressions to avoid",
  tags: ["english"],
  parser: "micromark",
  function: ({ parsers }, onError) => {
    for (const { text, startLine } of textOf(parsers.micromark.tokens))
      for (const [pattern, better] of AVOID) {
        const found = pattern.exec(text);
        if (found) onError({ lineNumber: startLine, detail: `"${found[0]}": write ${better}` });
      }
  },
};

export default {
  globs: ["*.md", "docs/**/*.md"],
  ignores: ["docs/api/**", "node_modules/**"],
  customRules: [plainEnglish],
  config: {
    "line-length": { line_length: 120, tables: false, code_blocks: false },
    // The changelog has one "Added" for each version.
    "no-duplicate-heading": { siblings_only: true },
    // The tables that scripts write are not aligned, and short code without a language is indented.
    "table-column-style": false,
    "code-block-style": false,
    // Pictures for light and dark need <picture>.
    "no-inline-html": { allowed_elements: ["picture", "source", "img", "br"] },
  },
};
