// Charts of bench/growth.mjs as SVG files: measured points and the fitted law, both axes logarithmic.
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

const COLORS = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2"];

/** @returns {Promise<Record<string, string>>} file names and SVG texts: seconds and megabytes by each variable */
export async function drawGrowth(laws) {
  const charts = Map.groupBy
    ? Map.groupBy(laws, keyOf)
    : laws.reduce((map, law) => map.set(keyOf(law), [...(map.get(keyOf(law)) ?? []), law]), new Map());
  return Object.fromEntries([...charts].map(([key, group]) => [`growth-${key}.svg`, draw(group)]));
}

const keyOf = ({ name, unit }) => `${name.replace(/\W+/g, "-").replace(/-$/, "")}-${unit}`;

function draw(laws) {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const [{ name, unit }] = laws;
  const points = laws.flatMap(({ stage, pairs }) => pairs.map(([x, y]) => ({ stage, x, y })));
  const lines = laws.flatMap(({ stage, pairs, exponent, factor }) =>
    pairs.map(([x]) => ({ stage, x, y: factor * x ** exponent })),
  );
  const svg = Plot.plot({
    document,
    width: 640,
    height: 400,
    marginLeft: 60,
    grid: true,
    style: { background: "white", color: "#222", fontSize: "12px" },
    x: { type: "log", base: 2, label: `${name} →`, labelArrow: "none", tickFormat: "d" },
    y: { type: "log", label: `↑ ${unit}`, labelArrow: "none" },
    color: { domain: laws.map(({ stage }) => stage), range: COLORS },
    marks: [
      Plot.line(lines, { x: "x", y: "y", stroke: "stage", strokeOpacity: 0.6 }),
      Plot.dot(points, { x: "x", y: "y", fill: "stage" }),
      Plot.text(
        laws.map(({ stage, pairs, exponent }) => ({
          stage,
          x: pairs.at(-1)[0],
          y: pairs.at(-1)[1],
          text: `${stage} ^${exponent.toFixed(2)}`,
        })),
        { x: "x", y: "y", text: "text", fill: "stage", dx: -6, dy: -10, textAnchor: "end" },
      ),
    ],
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${unit} by ${name}, with fitted power laws`);
  return `${svg.outerHTML}\n`;
}
