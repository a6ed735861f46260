// What the page knows of the mesh. The modules that draw it read it, and are told of each change.

const MESSAGES = 300;
const LINES = 500;
const RATE_S = 10;
const RTTS = 60;

const LONGEST = 2000; // letters of a line of a log

/** {text, t, level} of a line. The gateway's own are JSON objects, those of boards are text. */
function lineOf(text, t) {
  if (text[0] !== "{") return { text, t };
  try {
    const { event, level, timestamp, logger, ...facts } = JSON.parse(text);
    const told = Object.entries(facts).map(([name, fact]) => `${name}=${typeof fact === "string" ? fact : JSON.stringify(fact)}`);
    return { text: [event, ...told].join("  "), t: Date.parse(timestamp) / 1000 || t, level };
  } catch {
    return { text, t };
  }
}

const linkKey = (a, b) => (a < b ? `${a}|${b}` : `${b}|${a}`);

export class Model {
  constructor() {
    this.state = {}; // of the gateway
    this.nodes = new Map(); // id -> as /api/nodes has it
    this.others = new Map(); // id -> {id, name, kind}: nodes of the topology
    this.links = new Map(); // of two ids -> {a, b, rtt_ms, quality}
    this.messages = []; // newest first
    this.logs = new Map(); // id, or "" for the gateway -> {lines, rest}: see addText
    this.rtts = new Map(); // id -> the last round-trip times, ms
    this.arrivals = []; // moments of the last messages, ms
    this.isUp = null; // whether the gateway answers; null before the first answer
    this.listeners = [];
  }

  /** Call `what(topic, detail)` for each change: "nodes", "links", "messages", "log", "state", "health". */
  listen(what) {
    this.listeners.push(what);
  }

  tell(topic, detail) {
    for (const what of this.listeners) what(topic, detail);
  }

  /** The name of a node, or the beginning of its id. */
  name(id) {
    return this.nodes.get(id)?.name || this.others.get(id)?.name || (id || "").slice(0, 8);
  }

  /** Whether it is there at all: a node that is gone is listed, but in no graph. */
  isGone(id) {
    return this.nodes.get(id)?.state === "gone";
  }

  setState(state) {
    this.state = { ...this.state, ...state };
    this.tell("state");
  }

  setFamily({ name, ...state }) {
    if (!name) return;
    this.state.families = { ...this.state.families, [name]: state };
    this.tell("state");
  }

  setNodes(list) {
    this.nodes = new Map(list.map((node) => [node.id, node]));
    for (const node of list) this.noteRtt(node);
    this.tell("nodes");
  }

  /** A node or a part of one. Returns whether it came, went or changed its state: then the topology differs too. */
  setNode(part) {
    if (!part || typeof part.id !== "string") return false;
    const before = this.nodes.get(part.id);
    this.nodes.set(part.id, { ...before, ...part });
    this.noteRtt(part);
    this.tell("nodes", part.id);
    return before?.state !== this.nodes.get(part.id).state;
  }

  noteRtt({ id, rtt_ms: ms }) {
    if (typeof ms !== "number") return;
    if (!this.rtts.has(id)) this.rtts.set(id, []);
    const list = this.rtts.get(id);
    list.push([Date.now() / 1000, ms]);
    if (list.length > RTTS) list.shift();
  }

  setTopology({ nodes = [], links = [] }) {
    this.others = new Map(nodes.map((node) => [node.id, node]));
    this.links = new Map(links.map((link) => [linkKey(link.a, link.b), link]));
    this.tell("links");
  }

  setLink(link) {
    if (!link || !link.a || !link.b) return;
    const key = linkKey(link.a, link.b);
    if (link.state === "down") this.links.delete(key);
    else this.links.set(key, { ...this.links.get(key), ...link });
    this.tell("links");
  }

  addMessage(message) {
    this.messages.unshift(message);
    this.messages.length = Math.min(this.messages.length, MESSAGES);
    this.arrivals.push(performance.now());
    this.tell("messages", message);
  }

  /** Messages a second, over the last few seconds. */
  rate() {
    const since = performance.now() - 1000 * RATE_S;
    while (this.arrivals.length && this.arrivals[0] < since) this.arrivals.shift();
    return this.arrivals.length / RATE_S;
  }

  /** What a log held when it was asked for: text. What came of it as events before is in it already. */
  setLog(id, text) {
    this.logs.set(id, { lines: [], rest: "" });
    this.addText(id, text);
  }

  /** What is new in a log: text, whose last line may still go on. `t`: when it was heard of, unix seconds. */
  addText(id, text, t) {
    if (typeof text !== "string") return;
    if (!this.logs.has(id)) this.logs.set(id, { lines: [], rest: "" });
    const log = this.logs.get(id);
    const lines = (log.rest + text).split("\n");
    log.rest = lines.pop().slice(-LONGEST);
    for (const line of lines) if (line) log.lines.push(lineOf(line.slice(0, LONGEST), t));
    log.lines.splice(0, log.lines.length - LINES);
    this.tell("log", id);
  }

  /** The lines of a log, newest last. */
  lines(id) {
    return this.logs.get(id)?.lines || [];
  }

  /** The nodes and links that a graph shows. */
  graph() {
    const nodes = new Map();
    for (const node of this.others.values()) if (!this.isGone(node.id)) nodes.set(node.id, node);
    for (const node of this.nodes.values()) if (node.state !== "gone") nodes.set(node.id, { ...nodes.get(node.id), ...node });
    const links = [...this.links.values()].filter((link) => nodes.has(link.a) && nodes.has(link.b));
    return { nodes, links };
  }
}
