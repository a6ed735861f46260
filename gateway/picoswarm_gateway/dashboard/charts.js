// Small history graphs: one line each, its last value in words, and under the pointer the value at that moment.

import { clock, h, say, svg } from "./dom.js";

const WIDE = 240;
const HIGH = 44;
const PAD = 3;

/** A figure with a line of `values`, [[unix seconds, number or null], ...]; call `draw(values)` for each change. */
export class Chart {
  /** `words(number)` says a value; `title` names the graph. */
  constructor(title, words) {
    this.words = words;
    this.values = [];
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line", "vector-effect": "non-scaling-stroke" });
    this.mark = svg("line", { class: "mark", y1: 0, y2: HIGH, visibility: "hidden", "vector-effect": "non-scaling-stroke" });
    this.picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img" }, this.area, this.line, this.mark);
    this.now = h("b", {}, "–");
    this.range = h("span", { class: "quiet" });
    this.title = title;
    this.figure = h("figure", { class: "chart" }, h("figcaption", {}, h("span", {}, title), this.now), this.picture, this.range);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.leave());
  }

  draw(values) {
    this.values = values.filter(([, value]) => typeof value === "number" && isFinite(value));
    this.leave();
    if (this.values.length < 2) {
      this.area.removeAttribute("d");
      this.line.removeAttribute("d");
      say(this.range, "no history yet");
      return;
    }
    const all = this.values.map(([, value]) => value);
    const [first, last] = [this.values[0][0], this.values.at(-1)[0]];
    this.top = Math.max(...all);
    this.low = Math.min(...all);
    const base = this.low > 0.6 * this.top ? this.low - 0.25 * (this.top - this.low || this.top) : 0;
    const x = (t) => (WIDE * (t - first)) / (last - first || 1);
    const y = (value) => HIGH - PAD - ((HIGH - 2 * PAD) * (value - base)) / (this.top - base || 1);
    const gap = (3 * (last - first)) / this.values.length + 30;
    let path = "";
    let before = -Infinity;
    for (const [t, value] of this.values) {
      path += `${t - before > gap ? "M" : "L"}${x(t).toFixed(1)} ${y(value).toFixed(1)}`;
      before = t;
    }
    this.line.setAttribute("d", path);
    this.area.setAttribute("d", `M0 ${HIGH}${path.replaceAll("M", "L")}L${WIDE} ${HIGH}Z`);
    const span = last - first;
    const words = span > 5400 ? `${Math.round(span / 3600)} h` : span > 90 ? `${Math.round(span / 60)} min` : `${Math.round(span)} s`;
    say(this.range, `${this.words(this.low)} to ${this.words(this.top)} in ${words}`);
    this.picture.setAttribute("aria-label", `${this.title}: ${this.words(all.at(-1))} now, ${this.range.textContent}`);
  }

  point(event) {
    if (this.values.length < 2) return;
    const part = event.offsetX / Math.max(1, this.picture.clientWidth);
    const [first, last] = [this.values[0][0], this.values.at(-1)[0]];
    const t = first + part * (last - first);
    const [at, value] = this.values.reduce((best, each) => (Math.abs(each[0] - t) < Math.abs(best[0] - t) ? each : best));
    const left = (WIDE * (at - first)) / (last - first || 1);
    for (const name of ["x1", "x2"]) this.mark.setAttribute(name, left);
    this.mark.setAttribute("visibility", "visible");
    say(this.now, `${clock(at)}  ${this.words(value)}`);
  }

  leave() {
    this.mark.setAttribute("visibility", "hidden");
    say(this.now, this.values.length ? this.words(this.values.at(-1)[1]) : "–");
  }
}
