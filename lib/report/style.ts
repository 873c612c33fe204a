/** The page's style, for light and dark, on screens of any width and on paper. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f7fa; --line: #d6dce5; --text: #1b2430; --muted: #556274;
  --candidate: #2563c9; --best: #c2410c; --bound: #b3203a; --front: #0f766e; --quiet: #7b8797; --bar: #dfe6f0; --before: #b9c4d4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161d; --panel: #1a2029; --line: #333d4b; --text: #e7ecf3; --muted: #a3afc0;
    --candidate: #6ea8ff; --best: #ff9d5c; --bound: #ff7d93; --front: #4fd1c0; --quiet: #8593a6; --bar: #2b3544; --before: #46556b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 8px; overflow-wrap: break-word; }
h2 { font-size: 1.25rem; margin: 48px 0 4px; }
h3 { font-size: 1rem; margin: 20px 0 4px; }
p { margin: 6px 0 14px; max-width: 72ch; }
.lead { font-size: 1.1rem; }
.muted, figcaption, caption { color: var(--muted); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0; padding: 0; list-style: none; }
.tiles li { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.tiles .name { color: var(--muted); font-size: 0.85rem; display: block; }
.tiles .value { font-size: 1.3rem; font-weight: 650; white-space: nowrap; font-variant-numeric: tabular-nums; display: block; line-height: 1.3; }
.tiles .from { color: var(--muted); font-size: 0.85rem; font-variant-numeric: tabular-nums; }
.verdict { font-size: 1.25rem; font-weight: 650; line-height: 1.4; }
.unfinished { font-weight: 650; color: var(--bound); }
figure { margin: 12px 0; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
.narrow { display: none; }
@media screen and (max-width: 640px) {
  .wide { display: none; } .narrow { display: block; }
  main { padding: 24px 16px 48px; } h1 { font-size: 1.5rem; } .verdict { font-size: 1.1rem; } .tiles .value { font-size: 1.2rem; }
}
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 0.88rem; color: var(--muted); padding: 0; margin: 4px 0 8px; list-style: none; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 50%; margin-right: 6px; vertical-align: -1px; }
.legend i.ring { background: none; border: 2px solid; } .legend i.square { border-radius: 2px; } .legend i.dash { height: 3px; width: 18px; border-radius: 0; vertical-align: 4px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 12px; }
.small { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 8px 8px 2px; margin: 0; }
.small figcaption { font-size: 0.82rem; font-weight: 600; color: var(--text); overflow-wrap: anywhere; padding-left: 4px; }
.scroll { overflow-x: auto; } .scroll:not(.facts) table { min-width: 560px; }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem; margin: 8px 0 16px; }
caption { text-align: left; padding: 4px 0; font-size: 0.88rem; }
th, td { text-align: left; padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { font-weight: 650; } tbody > tr > th { min-width: 7em; } .facts tbody th { white-space: nowrap; width: 1%; } .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; overflow-x: auto; white-space: pre-wrap; font: 0.9rem/1.5 ui-monospace, Menlo, Consolas, monospace; }
pre span { white-space: nowrap; }
summary { cursor: pointer; color: var(--muted); padding: 4px 0; }
#tip { position: fixed; z-index: 1; pointer-events: none; background: var(--text); color: var(--page); padding: 6px 10px; border-radius: 6px; font-size: 0.85rem; line-height: 1.4; white-space: pre-line; max-width: 340px; overflow-wrap: anywhere; box-shadow: 0 2px 10px rgb(0 0 0 / 25%); }
#tip[hidden] { display: none; }
footer { margin-top: 48px; color: var(--muted); font-size: 0.85rem; }
@media print { main { max-width: none; } details > *:not(summary) { display: block; } .small { break-inside: avoid; } }
`;

/**
 * Shows a mark's <title> beside the pointer at once. Without the script, browsers show the titles after a delay.
 */
export const SCRIPT = `
const tip = document.getElementById("tip");
for (const title of document.querySelectorAll("svg title")) {
  const mark = title.parentElement;
  mark.dataset.tip = title.textContent;
  mark.setAttribute("aria-label", title.textContent.replaceAll("\\n", ", "));
  title.remove();
}
const hide = () => { tip.hidden = true; };
document.addEventListener("pointermove", (event) => {
  const mark = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
  if (mark === null) return hide();
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(event.clientX + 14, innerWidth - width - 8)) + "px";
  tip.style.top = (event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18) + "px";
});
document.addEventListener("pointerleave", hide);
document.addEventListener("scroll", hide, { passive: true });
`;
