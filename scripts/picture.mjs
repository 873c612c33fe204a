// Draws the picture of docs/results.md, docs/images/search-{light,dark}.svg, from a real search of the digits ResNet:
// `node scripts/picture.mjs`. Needs the compiled library.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

import { main, root, run, say } from "./lib/run.mjs";

const SEARCH = [
  "--searcher",
  "pareto",
  "--iterations",
  "300",
  "--set",
  "populationSize=40",
  "--constraint",
  "flops=60%",
];

main(async () => {
  const require = createRequire(import.meta.url);
  const dist = (...parts) => require(path.join(root, "dist", ...parts));
  const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-picture-"));
  try {
    const fixture = (name) => path.join(root, "test", "fixtures", name);
    const args = [
      fixture("digits_resnet.pt"),
      "--data",
      fixture("digits.npz"),
      "--max-batches",
      "4",
      ...SEARCH,
    ];
    const output = path.join(folder, "subnet.pt");
    run(process.execPath, [path.join(root, "dist", "cli", "main.js"), "search", ...args, "--output", output]);
    const data = await dist("index.js").readReportData(path.join(folder, "subnet.search.safetensors"));
    const chart = dist("report", "charts", "plane.js").drawPlane(
      await dist("report", "charts", "draw.js").makePen(),
      data,
      "flops",
    ).text;
    const { STYLE } = dist("report", "style.js");
    const schemes = STYLE.match(/--page:[^}]*/g);
    const images = path.join(root, "docs", "images");
    mkdirSync(images, { recursive: true });
    for (const [at, scheme] of ["light", "dark"].entries()) {
      const colors = new Map(
        [...schemes[at].matchAll(/(--\w+): (#\w+)/g)].map(([, name, color]) => [name, color]),
      );
      const svg = chart
        .replaceAll(/var\((--\w+)\)/g, (_, name) => colors.get(name))
        // What only the report's script reads.
        .replaceAll(/<title>[^<]*<\/title>/g, "")
        .replaceAll(/(\d+\.\d\d)\d+/g, "$1")
        .replace("<svg ", `<svg xmlns="http://www.w3.org/2000/svg" color="${colors.get("--text")}" `);
      const file = path.join(images, `search-${scheme}.svg`);
      writeFileSync(file, `${svg}\n`);
      say(
        `Wrote ${path.relative(root, file)} (${(svg.length / 1024).toFixed(0)} KiB, ${data.measurements.length} candidates)`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
