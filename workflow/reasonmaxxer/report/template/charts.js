// Draws the specs of #specs into the page, in the page's colours and to its width.
const specs = JSON.parse(document.getElementById("specs").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

// Okabe and Ito's colours, told apart with any colour vision; the light ones only on dark.
const PALETTE = {
  light: ["#5b6168", "#0a5c9c", "#c2570a", "#1b8a6b", "#b0568f", "#8a7a00", "#3aa0d8", "#7a4b2a"],
  dark: ["#b4b9bf", "#78b7ec", "#f0a368", "#4cc7a0", "#e09ac6", "#e6d64a", "#a7d8f5", "#c9a184"],
};

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [ink, soft, muted, line, accent] = ["--ink", "--soft", "--muted", "--line", "--accent"].map(colour);
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: "transparent",
    font,
    view: { stroke: null },
    axis: {
      labelColor: soft, titleColor: soft, titleFontWeight: "normal", labelFontSize: 11.5, titleFontSize: 12,
      gridColor: line, domainColor: line, tickColor: line, labelLimit: 190, titlePadding: 8,
    },
    header: { labelColor: ink, labelFontSize: 12.5, labelFontWeight: 600, labelAnchor: "start", labelPadding: 6 },
    legend: { labelColor: soft, labelFontSize: 12, symbolStrokeWidth: 3, labelLimit: 260 },
    range: { category: PALETTE[dark.matches ? "dark" : "light"] },
    bar: { color: accent }, line: { color: accent, strokeWidth: 2 }, point: { color: accent },
    rule: { color: muted }, text: { color: ink, fontSize: 12 },
    accent, muted,
  };
}

// Facets take as many columns as fit; named ranges become the theme's colours.
function fitted(spec, width, config) {
  const copy = structuredClone(spec);
  if (copy.facet) {
    const panels = new Set(copy.data.values.map((row) => row[copy.facet.field])).size;
    const columns = Math.max(1, Math.min(3, panels, Math.floor(width / 290)));
    const gap = 22;
    // Room for what stands left of a panel: names of arms, or a y axis in one panel or in each.
    const names = copy.spec.height && copy.spec.height.step ? 8 + 6.4 * longest(copy, "arm") : 74;
    const axes = copy.resolve?.scale.y ? 44 * columns + 14 : names;
    copy.columns = columns;
    copy.spacing = { row: 26, column: gap };
    copy.spec.width = Math.max(110, Math.min(560, Math.floor((width - axes - gap * (columns - 1) - 12) / columns)));
  }
  visit(copy, (part) => { if (part.legend && part.legend.columns) part.legend.columns = Math.max(1, Math.floor(width / 190)); });
  const emphasis = [config.muted, config.accent];
  return JSON.parse(JSON.stringify(copy).replaceAll('"range":"emphasis"', `"range":${JSON.stringify(emphasis)}`));
}

function longest(spec, field) {
  return Math.min(29, Math.max(...spec.data.values.map((row) => String(row[field] ?? "").length)));
}

function visit(part, act) {
  if (part === null || typeof part !== "object") return;
  act(part);
  for (const [name, inner] of Object.entries(part)) if (name !== "values") visit(inner, act);
}

async function draw(place) {
  const { accent, muted, ...config } = theme();
  const spec = fitted(specs[place.dataset.chart], place.clientWidth, { accent, muted });
  await window.vegaEmbed(place, spec, { config, actions: false, renderer: "svg", tooltip: { theme: "custom" } });
  place.dataset.drawn = "yes";
}

async function drawAll() {
  for (const place of document.querySelectorAll(".vega")) {
    await draw(place).catch((error) => {
      place.textContent = "This chart could not be drawn.";
      console.error(place.dataset.chart, error);
    });
  }
  document.documentElement.dataset.drawn = "yes";
}

let width = innerWidth;
let waiting;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { if (innerWidth !== width) { width = innerWidth; drawAll(); } }, 200);
});
dark.addEventListener("change", drawAll);
await drawAll();
