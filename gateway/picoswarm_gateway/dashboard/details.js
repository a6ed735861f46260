// One node in full: what it is, what passed, its log as it goes on.

import { $, ago, atMostEvery, bytes, clock, count, h, rtt, say, short } from "./dom.js";
import { get } from "./api.js";
import { Chart } from "./charts.js";
import { grade } from "./picture.js";
import { write } from "./talk.js";

const CHANNELS = { 1: "peer exchange", 2: "publish/subscribe", 3: "requests", 5: "log", 6: "counters" };

export class Details {
  /** `onPick(id or null)` when another node, or none, is to be shown. */
  constructor(model, onPick) {
    Object.assign(this, { model, onPick });
    this.id = null;
    this.panel = $("details");
    this.chart = new Chart("Round trip", rtt);
    this.opener = null;
    this.soon = atMostEvery(250, () => this.draw());
    $("details-chart").append(this.chart.figure);
    $("details-close").addEventListener("click", () => onPick(null));
    $("details-ping").addEventListener("click", () => this.ping());
    $("details-copy").addEventListener("click", () => this.copy());
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.id && !document.querySelector("dialog[open]")) onPick(null);
    });
  }

  /** Show a node; null: close. */
  show(id) {
    if (id === this.id) return;
    if (!this.id) this.opener = document.activeElement;
    this.id = id;
    this.panel.hidden = !id;
    document.body.classList.toggle("has-details", Boolean(id));
    if (!id) {
      this.opener?.focus?.({ preventScroll: true });
      return;
    }
    say($("details-result"), "");
    this.draw();
    this.panel.scrollTop = 0;
    $("details-name").focus({ preventScroll: true });
    this.readLog();
  }

  async readLog() {
    const id = this.id;
    if (id === this.model.state.id || !this.model.nodes.has(id)) return;
    say($("details-log-note"), "asking …");
    try {
      const told = await get(`api/log?node=${encodeURIComponent(id)}`);
      this.model.setLog(id, told.text);
      if (id === this.id) say($("details-log-note"), told.text ? "" : "empty");
    } catch (error) {
      if (id === this.id) say($("details-log-note"), error.status ? error.message : "no answer");
    }
  }

  draw() {
    const { id, model } = this;
    if (!id) return;
    const isSelf = id === model.state.id;
    const node = { id, ...model.others.get(id), ...model.nodes.get(id) };
    const state = isSelf ? "this gateway" : node.state || "known from others";
    say($("details-name"), model.name(id));
    $("details-dot").className = `dot ${isSelf ? "session" : node.state || "other"}`;
    say($("details-id"), id);
    const facts = [
      ["State", node.state === "session" ? `session, ${node.is_outbound ? "dialed by the gateway" : "dialed by the node"}` : state],
      ["Role", node.is_gateway || node.kind === "gateway" ? "gateway" : "node"],
      ["Address", node.ip ? `${node.ip}:${node.port}` : "–"],
      ["Round trip", rtt(node.rtt_ms)],
      ["Last seen", node.state === "session" || isSelf ? "now" : ago(node.last_seen)],
      ["First seen", ago(node.first_seen)],
      ["Received", bytes(node.bytes_in)],
      ["Sent", bytes(node.bytes_out)],
      ["Application", node.app || "–"],
      ["Firmware", node.firmware || (isSelf ? `picoswarm ${model.state.version}` : "–")],
    ];
    this.list($("details-facts"), facts);
    this.drawChannels(Object.entries(node.channels || {}));
    this.drawCounters(Object.entries(node.counters || {}));
    this.drawLinks();
    this.chart.draw(model.rtts.get(id) || []);
    $("details-chart").hidden = (model.rtts.get(id) || []).length < 2;
    $("details-ping").hidden = isSelf || node.state === "gone";
    this.drawLog();
  }

  drawChannels(channels) {
    $("details-channels-part").hidden = !channels.length;
    this.list($("details-channels"), channels.map(([channel, [n, size]]) => [`${CHANNELS[channel] || "channel"} (${channel})`, `${count(n)} · ${bytes(size)}`]));
  }

  drawCounters(counters) {
    const told = counters.filter(([, value]) => typeof value === "number" && value !== 0);
    $("details-counters-part").hidden = !counters.length;
    this.list($("details-counters"), told.map(([name, value]) => [name.replaceAll("_", " "), count(value)]));
    say($("details-zeros"), told.length < counters.length ? `${counters.length - told.length} more are 0.` : "");
  }

  drawLinks() {
    const links = [...this.model.links.values()].filter((link) => link.a === this.id || link.b === this.id);
    $("details-links-part").hidden = !links.length;
    const rows = links.map((link) => {
      const other = link.a === this.id ? link.b : link.a;
      return [this.model.name(other), rtt(link.rtt_ms), grade(link.quality), other];
    });
    rows.sort((a, b) => (a[0].toLowerCase() < b[0].toLowerCase() ? -1 : 1));
    const text = JSON.stringify(rows);
    if (text === this.drawnLinks) return;
    this.drawnLinks = text;
    const open = (id) => h("button", { type: "button", class: "plain", onclick: () => this.onPick(id) }, this.model.name(id) || short(id));
    const items = rows.map(([, ms, word, id]) => h("li", {}, open(id), h("span", { class: `quality ${word}` }, word), h("span", { class: "number" }, ms)));
    $("details-links").replaceChildren(...items);
  }

  /** A description list whose elements stay as long as its terms do. */
  list(element, facts) {
    if (element.children.length !== 2 * facts.length) {
      element.replaceChildren(...facts.flatMap(() => [h("dt"), h("dd")]));
    }
    facts.forEach(([term, text], i) => {
      say(element.children[2 * i], term);
      say(element.children[2 * i + 1], text);
    });
  }

  drawLog() {
    const isSelf = this.id === this.model.state.id;
    $("details-log-part").hidden = isSelf;
    if (!isSelf) drawLines($("details-log"), this.model.lines(this.id));
  }

  async ping() {
    say($("details-result"), "asking …");
    try {
      const answer = await write("api/ping", { id: this.id });
      say($("details-result"), answer === undefined ? "It needs a token." : `Answered in ${rtt(answer.rtt_ms)}.`);
    } catch (error) {
      say($("details-result"), error.status ? error.message : "The gateway does not answer.");
    }
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.id);
      say($("details-result"), "Copied.");
    } catch {
      getSelection().selectAllChildren($("details-id")); // no clipboard without TLS: the id is marked instead
      say($("details-result"), "Marked: copy it with the keyboard.");
    }
  }
}

/** Show lines of a log, newest at the bottom; it stays at the bottom if it was there. */
export function drawLines(element, lines) {
  const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
  const known = (element.known ||= new Map());
  let at = 0;
  for (const [line, item] of known) {
    if (line === lines[at]) at += 1;
    else {
      item.remove();
      known.delete(line);
    }
  }
  for (const line of lines.slice(at)) {
    const time = line.t ? h("time", { class: "quiet" }, clock(line.t)) : null;
    const level = line.level && line.level !== "info" ? h("b", { class: `level ${line.level}` }, line.level) : null;
    const item = h("li", {}, time, level, line.text);
    known.set(line, item);
    element.append(item);
  }
  if (isAtEnd) element.scrollTop = element.scrollHeight;
}
