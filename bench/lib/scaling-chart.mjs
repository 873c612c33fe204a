// The chart of bench/scaling.mjs as an SVG file: efficiency by the number of processes.
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

const COLORS = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951"];

/** @returns {string} */
export function drawScaling(points) {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const names = [...new Set(points.map(({ name }) => name))];
  const svg = Plot.plot({
    document,
    width: 720,
    height: 400,
    marginRight: 230,
    grid: true,
    style: { background: "white", color: "#222", fontSize: "12px" },
    x: { type: "log", base: 2, label: "processes →", labelArrow: "none", tickFormat: "d" },
    y: { domain: [0, 1], label: "↑ efficiency", labelArrow: "none", tickFormat: "%" },
    color: { domain: names, range: COLORS },
    marks: [
      Plot.line(points, { x: "ranks", y: "efficiency", stroke: "name" }),
      Plot.dot(points, { x: "ranks", y: "efficiency", fill: "name", r: 2.5 }),
      Plot.text(
        names.map((name) => points.filter((each) => each.name === name).at(-1)),
        { x: "ranks", y: "efficiency", text: "name", fill: "name", dx: 8, textAnchor: "start" },
      ),
    ],
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Efficiency by the number of processes");
  return `${svg.outerHTML}\n`;
}
