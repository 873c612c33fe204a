/** Draws charts as SVG text, with Observable Plot on a document that exists only in memory. */
import { Html } from "../html";

type PlotModule = Awaited<ReturnType<typeof loadPlot>>;

/** The means to draw charts. Colours are the page's custom properties, so they follow its colour scheme. */
export interface Pen {
  Plot: PlotModule;
  /** Draws a plot; `description` is what it shows, for those who can't see it. */
  draw(options: Parameters<PlotModule["plot"]>[0], description: string): Html;
}

// Both packages are ES modules; this one is not.
async function loadPlot() {
  return await import("@observablehq/plot");
}

/** Loads the libraries. */
export async function makePen(): Promise<Pen> {
  const [Plot, { parseHTML }] = await Promise.all([loadPlot(), import("linkedom")]);
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  return {
    Plot,
    draw: (options, description) => {
      const svg = Plot.plot({ document: document as never, style: { fontSize: "12px" }, ...options });
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", description);
      return new Html(svg.outerHTML);
    },
  };
}
