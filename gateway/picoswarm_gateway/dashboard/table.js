// The table of nodes: sorted by any column, filtered by a word and a state. Rows keep their elements, so that a focus stays.

import { $, ago, atMostEvery, bytes, count, h, keyed, rtt, say, short } from "./dom.js";

const PAGE = 200; // rows that are drawn before one asks for more
const ORDER = { session: 0, live: 1, gone: 2 };
const messages = (node) => Object.values(node.channels || {}).reduce((sum, [n]) => sum + n, 0); // that it sent to the gateway

/** What a node runs, the interpreter first: that differs more often than the library's version. */
function firmware(text) {
  const [library, ...rest] = (text || "–").split(", ");
  return [...rest, library].join(", ");
}

const address = (node) => (node.ip ? `${node.ip}:${node.port}` : "–");
const order = (node) => node.ip?.split(".").reduce((sum, part) => 256 * sum + Number(part), 0) * 65536 + node.port || node.ip || "";

// key, heading, what is shown, what is sorted by, class
const COLUMNS = [
  ["name", "Name", (node) => node.name || "–", (node) => (node.name || "\uffff").toLowerCase(), "name"],
  ["id", "Id", (node) => short(node.id), (node) => node.id, "mono"],
  ["address", "Address", address, order, "mono far"],
  ["rtt", "RTT", (node) => rtt(node.rtt_ms), (node) => node.rtt_ms ?? Infinity, "number"],
  ["seen", "Last seen", (node) => (node.state === "session" ? "now" : ago(node.last_seen)), (node) => -(node.state === "session" ? 4e9 : node.last_seen || 0), "number"],
  ["in", "In", (node) => bytes(node.bytes_in), (node) => -(node.bytes_in || 0), "number"],
  ["out", "Out", (node) => bytes(node.bytes_out), (node) => -(node.bytes_out || 0), "number"],
  ["messages", "Messages", (node) => count(messages(node)), (node) => -messages(node), "number"],
  ["firmware", "Firmware", (node) => firmware(node.firmware), (node) => node.firmware || "\uffff", "far quiet"],
];

export class NodeTable {
  /** `onPick(id)` when a row is chosen. */
  constructor(model, onPick) {
    Object.assign(this, { model, onPick });
    this.by = "name";
    this.isBackwards = false;
    this.state = "";
    this.word = "";
    this.most = PAGE;
    this.picked = null;
    this.rows = new Map();
    this.cells = new Map();
    this.body = $("node-rows");
    this.heads = new Map();
    for (const [key, title, , , kind] of COLUMNS) {
      const button = h("button", { type: "button", onclick: () => this.sort(key) }, title);
      this.heads.set(key, h("th", { role: "columnheader", scope: "col", class: kind }, button));
      $("sort-by").append(h("option", { value: key }, `by ${title}`));
    }
    $("node-heads").append(...this.heads.values());
    $("sort-by").addEventListener("change", (event) => this.sort(event.target.value));
    $("node-filter").addEventListener("input", (event) => this.filter({ word: event.target.value.trim().toLowerCase() }));
    for (const button of $("node-states").querySelectorAll("button")) {
      button.addEventListener("click", () => this.filter({ state: button.dataset.state }));
    }
    $("more-nodes").addEventListener("click", () => {
      this.most *= 4;
      this.draw();
    });
    this.soon = atMostEvery(250, () => this.draw());
    setInterval(() => document.hidden || this.soon(), 5000); // the ages
    this.draw();
  }

  filter(change) {
    Object.assign(this, change);
    for (const button of $("node-states").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.state === this.state));
    }
    this.draw();
  }

  sort(key) {
    this.isBackwards = key === this.by && !this.isBackwards;
    this.by = key;
    this.draw();
  }

  pick(id) {
    this.picked = id;
    for (const [key, row] of this.rows) row.setAttribute("aria-selected", String(key === id));
  }

  found() {
    const { word, state } = this;
    const sought = (node) => [node.name, node.id, address(node), node.firmware].join(" ").toLowerCase();
    const nodes = [...this.model.nodes.values()];
    const found = nodes.filter((node) => (!state || node.state === state) && (!word || sought(node).includes(word)));
    const value = COLUMNS.find(([key]) => key === this.by)[3];
    const sign = this.isBackwards ? -1 : 1;
    const key = new Map(found.map((node) => [node, value(node)]));
    found.sort((a, b) => {
      const [x, y] = [key.get(a), key.get(b)];
      if (x !== y) return sign * (x < y ? -1 : 1);
      return ORDER[a.state] - ORDER[b.state] || (a.id < b.id ? -1 : 1);
    });
    return found;
  }

  draw() {
    for (const [key, head] of this.heads) {
      const sorted = key === this.by ? (this.isBackwards ? "descending" : "ascending") : null;
      if (sorted) head.setAttribute("aria-sort", sorted);
      else head.removeAttribute("aria-sort");
    }
    $("sort-by").value = this.by;
    const found = this.found();
    const shown = found.slice(0, this.most);
    keyed(this.body, shown.map((node) => node.id), this.rows, (id) => this.row(id));
    for (const node of shown) this.refresh(node);
    const all = this.model.nodes.size;
    say($("node-count"), found.length === all ? `${all}` : `${found.length} of ${all}`);
    $("more-nodes").hidden = shown.length === found.length;
    say($("more-nodes"), `${found.length - shown.length} more`);
    $("no-nodes").hidden = found.length > 0;
    say($("no-nodes"), all ? "No node fits this filter." : "No node yet. Boards that hold this network key appear here as they join.");
  }

  row(id) {
    const cells = COLUMNS.map(([key, , , , kind]) => h("td", { role: "cell", class: `${kind} at-${key}` }));
    const button = h("button", { type: "button", class: "plain" });
    cells[0].append(h("span", { class: "dot" }), button);
    const row = h("tr", { role: "row", "data-id": id, "aria-selected": String(id === this.picked), onclick: () => this.onPick(id) }, ...cells);
    this.cells.set(row, [button, ...cells.slice(1)]);
    return row;
  }

  refresh(node) {
    const row = this.rows.get(node.id);
    const cells = this.cells.get(row);
    COLUMNS.forEach(([, , shown], i) => say(cells[i], shown(node)));
    cells.at(-1).title = node.firmware || "";
    if (row.dataset.state === node.state) return;
    row.dataset.state = node.state;
    const dot = row.firstChild.firstChild;
    dot.className = `dot ${node.state}`;
    dot.title = node.state;
    cells[0].setAttribute("aria-label", `${node.name || short(node.id)}, ${node.state}`);
  }
}
