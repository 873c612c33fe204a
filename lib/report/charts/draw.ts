/** Draws charts as SVG text, with Observable Plot on a document that exists only in memory. */
import { Html } from "../html";

type PlotModule = Awaited<ReturnType<typeof loadPlot>>;
type Options = NonNullable<Parameters<PlotModule["plot"]>[0]>;

/** The means to draw charts. Colours are the page's custom properties, so they follow its colour scheme. */
export interface Pen {
  Plot: PlotModule;
  /** Whether it draws for narrow screens, such as a phone's; its charts' classes then end in `-narrow`. */
  narrow: boolean;
  /** Units across a chart, about the pixels that it has on the screen. */
  width: number;
  /** Draws a plot; `description` is what it shows, for those who can't see it. */
  draw(options: Options, description: string): Html;
}

// Both packages are ES modules; this one is not.
async function loadPlot() {
  return await import("@observablehq/plot");
}

/** Units across a chart: on screens with room, and on narrow ones. */
const WIDTHS = { wide: 880, narrow: 400 };

/** Loads the libraries: the pen for wide screens, and the one for narrow ones. */
export async function makePens(): Promise<{ wide: Pen; narrow: Pen }> {
  const [Plot, { parseHTML }] = await Promise.all([loadPlot(), import("linkedom")]);
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const pen = (narrow: boolean): Pen => ({
    Plot,
    narrow,
    width: narrow ? WIDTHS.narrow : WIDTHS.wide,
    draw: ({ className, ...options }, description) => {
      const svg = Plot.plot({
        document: document as never,
        style: { fontSize: "12px" },
        className: `${className ?? "chart"}${narrow ? "-narrow" : ""}`,
        ...options,
      });
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", description);
      return new Html(svg.outerHTML);
    },
  });
  return { wide: pen(false), narrow: pen(true) };
}
