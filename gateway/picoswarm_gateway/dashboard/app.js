// The dashboard: reads the gateway once, follows its events from then on, and gives each change to the part that shows it.

import { $, atMostEvery, bytes, count, h, keyed, say, short, span } from "./dom.js";
import { Feed, get, keepToken, token } from "./api.js";
import { Chart } from "./charts.js";
import { Details, drawLines } from "./details.js";
import { Graph } from "./graph.js";
import { Model } from "./model.js";
import { NodeTable } from "./table.js";
import { askToken, showToken, Talk } from "./talk.js";

const HISTORY_MS = 10000;
const TOPOLOGY_MS = 10000;
const SERIES = [
  ["sessions", "Sessions", count],
  ["messages", "Messages / s", count],
  ["bytes_in", "Received / s", bytes],
  ["bytes_out", "Sent / s", bytes],
];

const model = new Model();
const graph = new Graph($("graph"), model, pick);
const table = new NodeTable(model, pick);
const talk = new Talk(model, pick);
const details = new Details(model, pick);
const charts = new Map(SERIES.map(([name, title, words]) => [name, new Chart(title, words)]));
$("charts").append(...[...charts.values()].map((chart) => chart.figure));

/** Show a node everywhere; null: none. Its id stands in the address, so that a link leads to it. */
function pick(id) {
  graph.pick(id);
  table.pick(id);
  details.show(id);
  history.replaceState(null, "", id ? `#${id}` : location.pathname + location.search);
}

// Reading

async function readTopology() {
  model.setTopology(await get("api/topology"));
}

async function readNodes() {
  model.setNodes(await get("api/nodes"));
}

async function readState() {
  model.setState(await get("api/state"));
}

let seconds = 3600; // of history that are shown

async function readHistory() {
  for (const [name, chart] of charts) {
    try {
      chart.draw(await get(`api/history?series=${name}&seconds=${seconds}`));
    } catch {
      // the banner says what there is to say of a gateway that is gone
    }
  }
}

async function readLog() {
  model.setLog("", (await get("api/log")).text);
}

/** Read everything. What cannot be had shows as missing; the rest of the page does not wait for it. */
async function readAll() {
  await Promise.allSettled([readState(), readNodes(), readTopology(), readLog()]);
  readHistory();
  if (location.hash.length === 65) pick(location.hash.slice(1));
}

const topologySoon = atMostEvery(1500, () => readTopology().catch(() => {}));
const allSoon = atMostEvery(3000, readAll);

const feed = new Feed({
  onEvent(name, data) {
    if (name === "node") {
      if (model.setNode(data)) topologySoon();
    } else if (name === "link") {
      model.setLink(data);
      topologySoon();
    } else if (name === "message") model.addMessage(data);
    else if (name === "log") model.addText(data.node || "", data.text, data.t);
    else if (name === "family") model.setFamily(data);
    else if (name === "state") model.setState(data);
    else allSoon(); // this page was too slow, and missed some
  },
  onOpen: readAll,
  onHealth: showHealth,
  beat: readState,
});

// Showing

const graphSoon = atMostEvery(250, () => graph.update());
const headSoon = atMostEvery(250, showHead);
const logSoon = atMostEvery(250, () => drawLines($("log"), model.lines("")));
model.listen((topic, detail) => {
  if (topic === "nodes") table.soon();
  if (topic === "nodes" || topic === "links") graphSoon();
  if (topic === "messages") {
    talk.soon();
    graph.pulse(detail.origin);
  }
  if (topic === "log" && !detail) logSoon();
  if (topic === "state") showFamilies();
  headSoon();
  details.soon();
});

function showHead() {
  const { state } = model;
  const nodes = [...model.nodes.values()];
  say($("gateway-name"), state.name || "gateway");
  document.title = `${state.name || "gateway"} · picoswarm`;
  say($("gateway-id"), short(state.id));
  say($("stat-nodes"), count(nodes.filter((node) => node.state !== "gone").length));
  say($("stat-sessions"), count(nodes.filter((node) => node.state === "session").length));
  say($("stat-rate"), `${model.rate().toFixed(1)}/s`);
  say($("stat-uptime"), typeof state.uptime_s === "number" ? span(state.uptime_s) : "–");
  say($("version"), state.version ? `picoswarm ${state.version}` : "picoswarm");
}

const familyItems = new Map();

/** What a family tells beside its state: its trouble, or all that is not 0. */
function factsOf({ state, trouble, counts, ...facts }) {
  if (trouble) return String(trouble);
  const told = [];
  for (const [name, value] of Object.entries({ ...facts, ...counts })) {
    const words = name.replaceAll("_", " ");
    if (typeof value === "number" && value) told.push(`${words} ${count(value)}`);
    else if (typeof value === "string" && value) told.push(name === "url" ? value : `${words} ${value}`);
  }
  return told.join(" · ");
}

function showFamilies() {
  const families = model.state.families || {};
  const names = Object.keys(families).sort();
  keyed($("families"), names, familyItems, () => h("li", {}, h("span", { class: "dot" }), h("b"), h("span", { class: "word" }), h("span", { class: "facts quiet" })));
  for (const name of names) {
    const { state } = families[name] || {};
    const [dot, title, word, rest] = familyItems.get(name).children;
    dot.className = `dot ${state}`;
    say(title, name);
    say(word, state || "unknown");
    word.className = `word ${state}`;
    say(rest, factsOf(families[name] || {}));
    rest.hidden = !rest.textContent;
  }
  $("no-families").hidden = names.length > 0;
  const gateways = (model.state.gateways || []).length;
  $("gateways").hidden = gateways < 2;
  say($("gateways"), `${gateways} gateways share the boards of this mesh.`);
  talk.mayWrite(model.state.may_write !== false);
}

let goneSince = null;
let retryAt = 0;

function showHealth(isUp, at = 0) {
  model.isUp = isUp;
  retryAt = at;
  if (isUp) goneSince = null;
  else goneSince ??= new Date();
  document.body.classList.toggle("is-gone", !isUp);
  $("banner").hidden = isUp;
  $("live").className = `health ${isUp ? "up" : "down"}`;
  say($("live"), isUp ? "Live" : "No answer");
  if (!isUp) say($("banner-text"), `The gateway has not answered since ${goneSince.toLocaleTimeString("en-GB")}. What you see is as it was then.`);
  showRetry();
}

function showRetry() {
  if (model.isUp !== false) return;
  const left = Math.ceil((retryAt - Date.now()) / 1000);
  say($("banner-retry"), left > 0 ? `Trying again in ${left} s.` : "Trying now.");
}

// What the reader presses

const THEMES = { auto: "light", light: "dark", dark: "auto" };

function showTheme() {
  const chosen = document.documentElement.dataset.theme || "auto";
  say($("theme-button"), { auto: "Auto", light: "Light", dark: "Dark" }[chosen]);
  $("theme-button").title = `Colours: ${chosen}. Press for ${THEMES[chosen]}.`;
  graph.dress();
}

$("theme-button").addEventListener("click", () => {
  const next = THEMES[document.documentElement.dataset.theme || "auto"];
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("picoswarm-theme", next);
  } catch {
    // the choice lasts as long as the page
  }
  showTheme();
});
$("token-button").addEventListener("click", () => {
  if (token()) keepToken("");
  else askToken();
  showToken();
});
$("token-cancel").addEventListener("click", () => $("token-dialog").close());
for (const button of $("spans").children) {
  button.addEventListener("click", () => {
    seconds = Number(button.dataset.seconds);
    for (const each of $("spans").children) each.setAttribute("aria-pressed", String(each === button));
    readHistory();
  });
}
$("banner-now").addEventListener("click", () => feed.retry());
$("zoom-in").addEventListener("click", () => graph.zoom(1.3));
$("zoom-out").addEventListener("click", () => graph.zoom(1 / 1.3));
$("zoom-fit").addEventListener("click", () => graph.fit());

setInterval(showRetry, 500);
setInterval(() => {
  if (!model.isUp || document.hidden) return;
  showHead();
  topologySoon();
}, TOPOLOGY_MS);
setInterval(() => model.isUp && !document.hidden && readHistory(), HISTORY_MS);
setInterval(() => model.isUp && headSoon(), 2000);

showTheme();
showToken();
feed.open();
