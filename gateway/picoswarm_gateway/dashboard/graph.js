// The picture of the mesh as one uses it: hovered, dragged, zoomed, and walked through by keys.

import { h, rtt, say, short } from "./dom.js";
import { CALM, grade, Picture } from "./picture.js";

const CALM_MS = 150; // in which a layout that must not be seen to move is made; beyond, it is seen
const REACH = 16; // px around a node that count as it

export class Graph extends Picture {
  /** `canvas` in a positioned parent; `onPick(id or null)` when a node, or none, is chosen. */
  constructor(canvas, model, onPick) {
    super(canvas, model);
    this.onPick = onPick;
    this.drag = null;
    this.tip = canvas.parentElement.appendChild(h("div", { class: "tip", hidden: true }));
    this.voice = canvas.parentElement.appendChild(h("p", { class: "unseen", "aria-live": "polite" }));
    this.listenToPointer();
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.focus(null));
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && this.focus(this.focused || this.hub()));
  }

  /** Show the graph of the model as it is now. */
  update() {
    const { nodes, links } = this.model.graph();
    this.nodes = nodes;
    this.links = links;
    this.layout.set(nodes, links);
    if (CALM.matches) {
      const end = performance.now() + CALM_MS;
      while (this.layout.isWarm && performance.now() < end) this.layout.step();
      this.shown = { ...this.wanted() };
    }
    const poor = links.filter((link) => grade(link.quality) === "poor").length;
    const summary = `Topology: ${nodes.size} nodes, ${links.length} links${poor ? `, ${poor} of them poor` : ""}.`;
    this.canvas.setAttribute("aria-label", `${summary} Arrow keys walk through it, Enter shows a node.`);
    Object.assign(this.canvas.dataset, { nodes: nodes.size, links: links.length });
    this.draw();
  }

  pick(id) {
    this.picked = id;
    this.draw();
  }

  // Pointer

  listenToPointer() {
    const { canvas } = this;
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", () => this.fit());
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 160), event.offsetX, event.offsetY);
      },
      { passive: false },
    );
  }

  /** The node at a point of the canvas, or null. */
  at(x, y) {
    let best = null;
    let nearest = REACH * REACH;
    for (const id of this.nodes.keys()) {
      const [left, top] = this.place(id);
      const far = (left - x) ** 2 + (top - y) ** 2;
      if (far < nearest) [best, nearest] = [id, far];
    }
    return best;
  }

  /** The link at a point, or null. */
  linkAt(x, y) {
    for (const link of this.links) {
      const [ax, ay] = this.place(link.a);
      const [bx, by] = this.place(link.b);
      const long2 = (bx - ax) ** 2 + (by - ay) ** 2 || 1;
      const part = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / long2;
      if (part < 0 || part > 1) continue;
      if (Math.hypot(x - ax - part * (bx - ax), y - ay - part * (by - ay)) < 5) return link;
    }
    return null;
  }

  down(event) {
    const id = this.at(event.offsetX, event.offsetY);
    if (!id && event.pointerType === "touch") return; // a finger beside the nodes scrolls the page
    this.drag = { id, x: event.offsetX, y: event.offsetY, hasMoved: false, view: { ...this.shown } };
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    const { drag } = this;
    if (!drag) {
      this.hover(this.at(event.offsetX, event.offsetY), event);
      return;
    }
    const [dx, dy] = [event.offsetX - drag.x, event.offsetY - drag.y];
    drag.hasMoved ||= Math.hypot(dx, dy) > 4;
    if (!drag.hasMoved) return;
    const place = this.layout.at.get(drag.id);
    if (place) {
      this.view ||= { ...this.shown };
      place.held = true;
      place.x = (event.offsetX - this.shown.x) / this.shown.wide;
      place.y = (event.offsetY - this.shown.y) / this.shown.high;
      this.layout.warm(0.25);
    } else {
      this.view = { ...drag.view, x: drag.view.x + dx, y: drag.view.y + dy };
    }
    this.hover(drag.id);
    this.draw();
  }

  up() {
    const { drag } = this;
    this.drag = null;
    if (!drag) return;
    const place = this.layout.at.get(drag.id);
    if (place) place.held = false;
    if (!drag.hasMoved) this.onPick(drag.id);
  }

  hover(id, event) {
    const link = !id && event ? this.linkAt(event.offsetX, event.offsetY) : null;
    this.canvas.classList.toggle("on-node", Boolean(id));
    this.tip.hidden = !(event && (id || link));
    if (id && event) this.tell(`${this.model.name(id)}`, this.about(id));
    if (link) this.tell(`${this.model.name(link.a)} – ${this.model.name(link.b)}`, this.aboutLink(link));
    if (!this.tip.hidden) {
      const left = Math.min(event.offsetX + 14, this.width - this.tip.offsetWidth - 8);
      this.tip.style.transform = `translate(${Math.max(4, left)}px, ${event.offsetY + 16}px)`;
    }
    if (id !== this.over) {
      this.over = id;
      this.draw();
    }
  }

  tell(title, text) {
    this.tip.replaceChildren(h("b", {}, title), text);
  }

  about(id) {
    const node = this.nodes.get(id);
    const links = this.neighbours(id).size - 1;
    const parts = [id === this.model.state.id ? "this gateway" : node.state || "known from others", `${links} ${links === 1 ? "link" : "links"}`];
    if (typeof node.rtt_ms === "number") parts.push(rtt(node.rtt_ms));
    return `${parts.join(" · ")} · ${short(id)}`;
  }

  aboutLink({ rtt_ms: ms, quality }) {
    const parts = typeof ms === "number" ? [rtt(ms)] : [];
    if (typeof quality === "number") parts.push(`quality ${Math.round(100 * quality)} %, ${grade(quality)}`);
    return parts.join(" · ") || "nothing measured yet";
  }

  // Keys

  hub() {
    return this.nodes.has(this.model.state.id) ? this.model.state.id : (this.nodes.keys().next().value ?? null);
  }

  focus(id) {
    this.focused = id;
    if (id) say(this.voice, `${this.model.name(id)}: ${this.about(id)}`);
    this.draw();
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) this.focus(this.next(way));
    else if (event.key === "Enter" && this.focused) this.onPick(this.focused);
    else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 1.25 : 0.8);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }

  /** The nearest node that lies in a direction of the focused one. */
  next([dx, dy]) {
    const from = this.layout.at.get(this.focused);
    if (!from) return this.hub();
    let best = this.focused;
    let least = Infinity;
    for (const [id, { x, y }] of this.layout.at) {
      const along = (x - from.x) * dx + (y - from.y) * dy;
      const aside = Math.abs((x - from.x) * dy) + Math.abs((y - from.y) * dx);
      const cost = along + 2 * aside;
      if (id !== this.focused && along > 0 && aside <= 2 * along && cost < least) [best, least] = [id, cost];
    }
    return best;
  }
}
