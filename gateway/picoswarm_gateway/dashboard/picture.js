// How a graph is drawn: on a canvas, so that it can show a thousand nodes. It asks the layout where they stand.

import { Layout } from "./layout.js";

const MARGIN = 44;
const LARGEST = 1.7;
const UNEVEN = 1.7; // at most so much wider than high, or the other way round, is a graph drawn to fill its place
const NODE = 6;
const HUB = 10;
const LABELS = 70; // nodes from which on only few of them are named
const MANY = 150; // links beyond which they are fainter
const PULSE_MS = 900;
const QUICK_MS = 8; // a picture that takes less is painted with each frame

export const CALM = matchMedia("(prefers-reduced-motion: reduce)");

/** good, fair or poor, for a link's quality of 0 to 1. */
export function grade(quality) {
  if (typeof quality !== "number") return "unknown";
  return quality >= 0.7 ? "good" : quality >= 0.35 ? "fair" : "poor";
}

export class Picture {
  constructor(canvas, model) {
    Object.assign(this, { canvas, model });
    this.layout = new Layout();
    this.pen = canvas.getContext("2d");
    this.nodes = new Map();
    this.links = [];
    this.view = null; // {wide, high, x, y}: scales and corner that the reader chose, or null: everything fits
    this.shown = { wide: 1, high: 1, x: 0, y: 0 }; // what is drawn now
    this.over = null; // id under the pointer
    this.focused = null; // id that the keys are on
    this.picked = null;
    this.pulses = new Map(); // id -> when
    this.frame = 0; // whether one is due
    this.cost = 0; // ms of the last ones
    this.probe = document.createElement("i");
    this.probe.hidden = true;
    canvas.parentElement.append(this.probe);
    this.dress();
    new ResizeObserver(() => this.resize()).observe(canvas);
    for (const scheme of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
      matchMedia(scheme).addEventListener("change", () => this.dress());
    }
  }

  /** Take the colours from the style sheet, again when the theme changes. */
  dress() {
    this.ink = {};
    for (const name of ["text", "quiet", "panel", "accent", "good", "fair", "poor", "unknown", "live"]) {
      this.probe.style.color = `var(--${name})`;
      this.ink[name] = getComputedStyle(this.probe).color;
    }
    this.font = getComputedStyle(document.body).fontFamily;
    this.draw();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const dense = devicePixelRatio || 1;
    Object.assign(this, { width, height });
    Object.assign(this.canvas, { width: Math.round(width * dense), height: Math.round(height * dense) });
    this.pen.setTransform(dense, 0, 0, dense, 0, 0);
    this.layout.aspect = Math.min(3, Math.max(0.5, (width / Math.max(1, height)) ** 1.3));
    this.layout.warm(0.1);
    this.shown = { ...this.wanted() };
    this.draw();
  }

  /** Let a node light up: it said something. */
  pulse(id) {
    if (CALM.matches || document.hidden || !this.layout.at.has(id)) return;
    this.pulses.set(id, performance.now());
    this.draw();
  }

  fit() {
    this.view = null;
    this.draw();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const { wide, high, x: left, y: top } = this.shown;
    if (wide * factor > 5 || wide * factor < 0.1) return;
    this.view = { wide: wide * factor, high: high * factor, x: x - (x - left) * factor, y: y - (y - top) * factor };
    this.draw();
  }

  /** The view that shows all, or the one that the reader chose. */
  wanted() {
    if (this.view) return this.view;
    const [left, top, right, bottom] = this.layout.bounds();
    const fit = (room, length) => Math.min(LARGEST, Math.max(40, room - 2 * MARGIN) / Math.max(1, length));
    let [wide, high] = [fit(this.width, right - left), fit(this.height, bottom - top)];
    [wide, high] = [Math.min(wide, UNEVEN * high), Math.min(high, UNEVEN * wide)];
    return { wide, high, x: this.width / 2 - (wide * (left + right)) / 2, y: this.height / 2 - (high * (top + bottom)) / 2 };
  }

  // Drawing

  /** Paint soon. Where that takes long (many nodes, a slow machine), most of the time is left to everything else. */
  draw() {
    if (this.frame) return;
    this.frame = 1;
    if (this.cost < QUICK_MS) requestAnimationFrame(() => this.paint());
    else setTimeout(() => requestAnimationFrame(() => this.paint()), 3 * this.cost);
  }

  place(id) {
    const at = this.layout.at.get(id);
    return [this.shown.x + this.shown.wide * at.x, this.shown.y + this.shown.high * at.y];
  }

  paint() {
    this.frame = 0;
    if (!this.width) return;
    const began = performance.now();
    for (let i = 0; i < 2; i++) this.layout.step();
    const wanted = this.wanted();
    let isMoving = false;
    for (const part of ["wide", "high", "x", "y"]) {
      const step = wanted[part] - this.shown[part];
      isMoving ||= Math.abs(step) > (part.length > 1 ? 0.002 : 0.3);
      this.shown[part] += this.view || CALM.matches ? step : 0.25 * step;
    }
    this.pen.clearRect(0, 0, this.width, this.height);
    const near = this.over || this.focused || this.picked;
    const around = this.neighbours(near);
    this.paintLinks(near);
    for (const id of this.nodes.keys()) this.paintNode(id, around);
    this.paintLabels(near, around);
    this.cost = 0.7 * this.cost + 0.3 * (performance.now() - began);
    if (this.layout.isWarm || isMoving || this.pulses.size) this.draw();
  }

  neighbours(id) {
    const around = new Set(id ? [id] : []);
    for (const { a, b } of this.links) {
      if (a === id) around.add(b);
      if (b === id) around.add(a);
    }
    return around;
  }

  /** All links, those of one look in one stroke. */
  paintLinks(near) {
    const looks = new Map();
    for (const link of this.links) {
      const isNear = near && (link.a === near || link.b === near);
      const look = `${grade(link.quality)} ${isNear ? "near" : near ? "far" : ""}`;
      if (!looks.has(look)) looks.set(look, new Path2D());
      looks.get(look).moveTo(...this.place(link.a));
      looks.get(look).lineTo(...this.place(link.b));
    }
    const pen = this.pen;
    const faint = this.links.length > MANY ? 0.5 : 1;
    for (const [look, path] of looks) {
      const [word, where] = look.split(" ");
      pen.strokeStyle = this.ink[word];
      pen.lineWidth = (word === "good" ? 1.7 : 1.4) * (where === "near" ? 1.5 : 1);
      pen.globalAlpha = { near: 1, far: 0.14 }[where] ?? faint * (word === "good" ? 0.5 : 0.85);
      pen.setLineDash({ poor: [2, 4], fair: [7, 4] }[word] || []);
      pen.stroke(path);
    }
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }

  size(id) {
    const node = this.nodes.get(id);
    const small = this.nodes.size > 150 ? 0.65 : 1;
    return small * (node.is_gateway || node.kind === "gateway" ? HUB : NODE);
  }

  paintNode(id, around) {
    const pen = this.pen;
    const [x, y] = this.place(id);
    const node = this.nodes.get(id);
    const size = this.size(id);
    const color = node.state === "session" || id === this.model.state.id ? this.ink.accent : this.ink.live;
    this.paintPulse(id, x, y, size);
    pen.globalAlpha = around.size && !around.has(id) ? 0.35 : 1;
    pen.beginPath();
    pen.arc(x, y, size, 0, 7);
    pen.fillStyle = size >= HUB || node.state === "session" ? color : this.ink.panel;
    pen.strokeStyle = size >= HUB || node.state !== "session" ? color : this.ink.panel;
    pen.lineWidth = 2;
    pen.fill();
    pen.stroke();
    if (size >= 0.65 * HUB && size !== NODE) {
      pen.beginPath();
      pen.arc(x, y, size * 0.4, 0, 7);
      pen.fillStyle = this.ink.panel;
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (id === this.focused || id === this.picked) {
      pen.beginPath();
      pen.arc(x, y, size + 4.5, 0, 7);
      pen.strokeStyle = id === this.focused ? this.ink.text : this.ink.accent;
      pen.stroke();
    }
  }

  paintPulse(id, x, y, size) {
    const began = this.pulses.get(id);
    if (began === undefined) return;
    const part = (performance.now() - began) / PULSE_MS;
    if (part >= 1) {
      this.pulses.delete(id);
      return;
    }
    this.pen.beginPath();
    this.pen.arc(x, y, size + 14 * part, 0, 7);
    this.pen.strokeStyle = this.ink.accent;
    this.pen.lineWidth = 2;
    this.pen.globalAlpha = 0.6 * (1 - part);
    this.pen.stroke();
    this.pen.globalAlpha = 1;
  }

  paintLabels(near, around) {
    const pen = this.pen;
    const isFew = this.nodes.size <= LABELS || this.shown.wide > 1.3;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    pen.lineJoin = "round";
    for (const [id, node] of this.nodes) {
      const isHub = node.is_gateway || node.kind === "gateway";
      if (!(isFew || isHub || around.has(id))) continue;
      const [x, y] = this.place(id);
      const name = this.model.name(id).slice(0, 16);
      pen.font = `${isHub ? 600 : 400} 11.5px ${this.font}`;
      pen.globalAlpha = near && !around.has(id) ? 0.3 : 1;
      pen.strokeStyle = this.ink.panel;
      pen.lineWidth = 3.5;
      pen.fillStyle = id === near || isHub ? this.ink.text : this.ink.quiet;
      pen.strokeText(name, x, y + this.size(id) + 4);
      pen.fillText(name, x, y + this.size(id) + 4);
    }
    pen.globalAlpha = 1;
  }

}
