// Rollouts to read: tokens shaded by entropy, decisions marked, alternatives on hover and focus, and
// at a click how other rollouts went on from a decision.
// Everything that a model or a dataset wrote enters the page through textContent.
const data = JSON.parse(document.getElementById("data").textContent);
const reader = document.getElementById("reader");

const MOST = 1.5; // nats at which the shade is full
const VIEWS = [
  { id: "rollouts", name: "The base's own rollouts", items: grouped(data.rollouts), by: "verdict",
    filters: ["all", "correct", "incorrect", "unparseable", "timeout"] },
  { id: "pairs", name: "Base and trained, side by side", items: data.pairs, by: "outcome",
    filters: ["all", "fixed", "broken", "both", "neither"] },
].filter((view) => view.items.length);
const NAMES = { all: "all", fixed: "trained right, base wrong", broken: "base right, trained wrong",
  both: "both right", neither: "both wrong" };

const state = { view: VIEWS[0], filter: "all", at: 0 };

function grouped(rollouts) {
  const problems = new Map();
  for (const rollout of rollouts) {
    const known = problems.get(rollout.problem_id) ?? { ...rollout, sides: [] };
    known.sides.push(rollout);
    problems.set(rollout.problem_id, known);
  }
  return [...problems.values()];
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// --- what is shown -----------------------------------------------------------------------------

function shown(view, filter) {
  if (filter === "all") return view.items;
  if (view.by === "outcome") return view.items.filter((item) => item.outcome === filter);
  return view.items
    .map((item) => ({ ...item, sides: item.sides.filter((side) => side.verdict === filter) }))
    .filter((item) => item.sides.length);
}

function choose(changes) {
  Object.assign(state, changes);
  hideCard();
  render();
}

function chips(label, options, current, act) {
  const group = make("div", { class: "group", role: "group", "aria-label": label }, make("span", {}, label));
  for (const { value, name, count } of options) {
    const button = make("button", { type: "button", "aria-pressed": String(value === current), "data-value": value,
      on: { click: () => act(value) } }, name + (count === undefined ? "" : ` ${count}`));
    button.disabled = count === 0;
    group.append(button);
  }
  return group;
}

function controls(items) {
  const bar = make("div", { class: "controls" });
  if (VIEWS.length > 1) {
    bar.append(chips("Show", VIEWS.map((view) => ({ value: view.id, name: view.name })), state.view.id,
      (id) => choose({ view: VIEWS.find((view) => view.id === id), filter: "all", at: 0 })));
  }
  const filters = state.view.filters
    .map((value) => ({ value, name: NAMES[value] ?? value, count: shown(state.view, value).length }))
    .filter((option) => option.count > 0);
  bar.append(chips("Filter", filters, state.filter, (filter) => choose({ filter, at: 0 })));
  const step = (by) => () => { choose({ at: state.at + by }); };
  const previous = make("button", { type: "button", "data-step": "previous", on: { click: step(-1) } }, "‹ previous");
  const next = make("button", { type: "button", "data-step": "next", on: { click: step(1) } }, "next ›");
  previous.disabled = state.at === 0;
  next.disabled = state.at >= items.length - 1;
  bar.append(make("div", { class: "group steps" }, previous,
    make("span", { "aria-live": "polite" }, `problem ${state.at + 1} of ${items.length}`), next));
  return bar;
}

function render() {
  const focused = document.activeElement?.closest?.("#reader button");
  const items = shown(state.view, state.filter);
  const item = items[state.at];
  const problem = make("div", { class: "problem" }, item.problem,
    make("small", {}, [item.benchmark && (data.titles[item.benchmark] ?? item.benchmark), item.problem_id,
      item.reference !== null && `reference answer ${item.reference}`].filter(Boolean).join(" · ")));
  const sides = make("div", { class: "sides" });
  const parts = item.sides.length === 2 ? parting(item.sides) : -1;
  for (const side of item.sides) sides.append(article(side, parts));
  reader.replaceChildren(controls(items), problem, sides, legend());
  for (const token of reader.querySelectorAll(".tokens .parted")) {
    const list = token.parentElement;
    list.scrollTop = token.getBoundingClientRect().top - list.getBoundingClientRect().top - list.clientHeight / 2;
  }
  if (focused) {
    const same = focused.dataset.value ? `[data-value="${focused.dataset.value}"]` : `[data-step="${focused.dataset.step}"]`;
    reader.querySelector(`button${same}:not(:disabled)`)?.focus();
  }
}

// The first token at which two completions differ.
function parting([one, other]) {
  const count = Math.max(one.tokens.length, other.tokens.length);
  for (let i = 0; i < count; i++) if (one.tokens[i] !== other.tokens[i]) return i;
  return -1;
}

function article(side, parts) {
  const facts = [`${side.length} tokens`];
  if (side.gated) facts.push(`${side.gated.length} decision${side.gated.length === 1 ? "" : "s"}`);
  if (side.advantage !== null && side.advantage !== undefined) facts.push(`advantage ${side.advantage.toFixed(2).replace("-", "−")}`);
  if (side.finish_reason === "length") facts.push("cut off by the token limit");
  const title = make("h3", {}, make("span", {}, side.arm ? data.titles[side.arm] ?? side.arm : "base"),
    make("span", { class: `outcome ${side.verdict}` }, side.verdict), make("small", {}, facts.join(" · ")));
  return make("article", {}, title, tokenList(side, parts), make("div", { class: "ways", "aria-live": "polite" }));
}

function tokenList(side, parts) {
  const gated = new Set(side.gated ?? []);
  const list = make("div", { class: "tokens", role: "group", "aria-label": "Tokens of the completion, arrow keys to walk" });
  side.tokens.forEach((text, i) => {
    const span = make("span", { class: "token", tabindex: i ? "-1" : "0" }, text || "\u00b7");
    span.style.setProperty("--h", Math.min(1, (side.entropy?.[i] ?? 0) / MOST).toFixed(3));
    if (gated.has(i)) span.classList.add("gated");
    if (i === parts) span.classList.add("parted");
    if (side.forks?.[i]) {
      span.classList.add("fork");
      span.setAttribute("role", "button");
      span.setAttribute("aria-expanded", "false");
      span.setAttribute("aria-label", `${visible(text)}, a fork`);
    }
    span.reader = { side, i, gated: gated.has(i) };
    list.append(span);
  });
  if (side.length > side.tokens.length) list.append(make("small", {}, ` … ${side.length - side.tokens.length} more tokens`));
  return list;
}

function legend() {
  const bar = make("p", { class: "legend" });
  const pairs = state.view.id === "pairs";
  bar.append(make("span", {}, "sure", make("span", { class: "ramp" }),
    `the base's entropy here, ${MOST} nats or more`));
  bar.append(make("span", {}, make("span", { class: "key token gated" }, "so"),
    pairs ? " a position that the gate would take" : " a decision: here training pushes"));
  if (!pairs) bar.append(make("span", {}, make("span", { class: "key token gated fork" }, "so"), " a fork: click for other rollouts from here"));
  bar.append(make("span", {}, make("span", { class: "key token parted" }, "so"), " here the two part"));
  return bar;
}

// --- the card ----------------------------------------------------------------------------------

const card = make("div", { id: "card", role: "status", "aria-live": "polite", hidden: "" });
document.body.append(card);

const visible = (text) => text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ | $/g, "␣") || "(nothing)";

function showCard(span) {
  const { side, i, gated } = span.reader;
  const facts = [];
  if (side.entropy) facts.push(`entropy ${side.entropy[i].toFixed(2)} nats`);
  if (side.trained_entropy) facts.push(`${side.trained_entropy[i].toFixed(2)} after training`);
  const word = make("div", { class: "word" }, visible(side.tokens[i]));
  if (gated) word.append(make("span", { class: "tag" }, "decision"));
  card.replaceChildren(word, make("div", { class: "facts" }, facts.join(" · ")));
  const choices = side.alternatives?.[i] ?? [];
  if (choices.length) card.append(choiceTable(choices, side.tokens[i]));
  if (side.entropy && !choices.length) card.append(make("div", { class: "facts" }, "practically certain"));
  card.hidden = false;
  const at = span.getClientRects()[0];
  const left = Math.min(at.left, innerWidth - card.offsetWidth - 12);
  const below = at.bottom + 8 + card.offsetHeight < innerHeight;
  card.style.left = `${Math.max(8, left) + scrollX}px`;
  card.style.top = `${(below ? at.bottom + 8 : at.top - card.offsetHeight - 8) + scrollY}px`;
}

const percent = (share) => (share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(1)}%`);

// The likeliest tokens: [text, the base's probability] and, where both models read, the trained one's.
function choiceTable(choices, taken) {
  const both = choices[0].length > 2;
  const table = make("div", { class: `choices${both ? " both" : ""}` });
  if (both) table.append(make("span"), make("span", { class: "side" }, "base"), make("span", { class: "side trained" }, "trained"));
  for (const [text, ...shares] of choices) {
    table.append(make("span", { class: `choice${text.trim() === taken.trim() ? " taken" : ""}` }, visible(text)));
    shares.forEach((share, which) => {
      const bar = make("span", { class: `meter${which ? " trained" : ""}` }, make("i"), make("b", {}, percent(share)));
      bar.firstChild.style.width = `${100 * share}%`;
      table.append(bar);
    });
  }
  return table;
}

function hideCard() {
  card.hidden = true;
}

// --- forks -------------------------------------------------------------------------------------

// Shows how the problem's rollouts went on from a decision, or hides it again.
function toggleWays(span) {
  const { side, i } = span.reader;
  if (!side.forks?.[i]) return;
  const article = span.closest("article");
  const open = span.getAttribute("aria-expanded") === "false";
  for (const fork of article.querySelectorAll("[aria-expanded]")) fork.setAttribute("aria-expanded", "false");
  span.setAttribute("aria-expanded", String(open));
  hideCard();
  article.querySelector(".ways").replaceChildren(...(open ? ways(side.forks[i]) : []));
}

function ways(forks) {
  const count = (number) => `${number} rollout${number === 1 ? "" : "s"}`;
  const list = make("dl");
  for (const { token, rollouts, correct, continuations } of forks) {
    list.append(make("dt", {}, make("b", {}, visible(token)), `${count(rollouts)}, ${correct} correct`));
    for (const { verdict, answer, text, cut } of continuations) {
      list.append(make("dd", {}, make("span", { class: `outcome ${verdict}` }, answer ?? verdict), text + (cut ? " …" : "")));
    }
  }
  const all = forks.reduce((sum, { rollouts }) => sum + rollouts, 0);
  return [make("p", {}, `${count(all)} of this problem came to this place, token by token the same. They went on:`), list];
}

function move(span, event) {
  const steps = { ArrowRight: ["nextElementSibling", ""], ArrowLeft: ["previousElementSibling", ""],
    n: ["nextElementSibling", ".gated, .parted"], p: ["previousElementSibling", ".gated, .parted"] };
  if (event.key === "Escape") return hideCard();
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    return toggleWays(span);
  }
  const step = steps[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  let to = span[step[0]];
  while (to && !(to.reader && (!step[1] || to.matches(step[1])))) to = to[step[0]];
  if (!to) return;
  span.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

if (reader && VIEWS.length) {
  render();
  const of = (act) => (event) => { if (event.target.reader) act(event.target, event); };
  reader.addEventListener("mouseover", of(showCard));
  reader.addEventListener("mouseout", of(hideCard));
  reader.addEventListener("focusin", of(showCard));
  reader.addEventListener("focusout", of(hideCard));
  reader.addEventListener("keydown", of(move));
  reader.addEventListener("click", of(toggleWays));
  reader.dataset.ready = "yes";
}
