// Draws the charts of #specs into the page, to its width. Their colours are the page's variables.
const { theme, charts } = JSON.parse(document.getElementById("specs").textContent);

// Facets take as many columns as fit.
function fitted(spec, width) {
  const copy = structuredClone(spec);
  if (copy.facet) {
    const panels = new Set(copy.data.values.map((row) => row[copy.facet.field])).size;
    const columns = Math.max(1, Math.min(4, panels, Math.floor(width / 270)));
    const gap = 22;
    // Room for what stands left of a panel: names of arms, or a y axis in one panel or in each.
    const names = copy.spec.height && copy.spec.height.step ? 8 + 6.4 * longest(copy, "arm") : 74;
    const axes = copy.resolve?.scale.y ? 60 * columns : names;
    copy.columns = columns;
    copy.spacing = { row: 26, column: gap };
    copy.spec.width = Math.max(110, Math.min(560, Math.floor((width - axes - gap * (columns - 1) - 12) / columns)));
  }
  const panel = copy.spec ?? copy;
  if (width < 400 && panel.height > 100) panel.height *= 0.75;
  visit(copy, (part) => { if (part.legend && part.legend.columns) part.legend.columns = Math.max(1, Math.floor(width / 190)); });
  return copy;
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
  const spec = fitted(charts[place.dataset.chart], place.clientWidth);
  const config = { ...theme, font: getComputedStyle(document.body).fontFamily };
  // To a screen reader a chart is one picture with the name that its place has.
  const drawing = document.createElement("div");
  drawing.setAttribute("aria-hidden", "true");
  place.replaceChildren(drawing);
  await window.vegaEmbed(drawing, spec, { config, actions: false, renderer: "svg", tooltip: { theme: "custom" } });
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
await drawAll();
