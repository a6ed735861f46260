// Where the nodes of a graph stand: springs along links, nodes that push each other away, and a pull to the middle that is
// weaker along the wider side. Pure: no drawing, no clock. The same graph always falls into the same places.

const REST = 120; // length of a link at rest
const SPRING = 0.09;
const PUSH = 9000;
const PULL = 0.022;
const FRICTION = 0.62;
const COOLING = 0.982;
const COLD = 0.012;
const FASTEST = 40; // px a step
const SPIRAL = 30; // newcomers start in one, so far apart
const FAR2 = 640 * 640; // beyond this nodes do not feel each other
const GOLDEN = Math.PI * (3 - Math.sqrt(5));

export class Layout {
  constructor() {
    this.at = new Map(); // id -> {x, y, vx, vy, links, held}
    this.links = []; // [place, place, quality]
    this.heat = 0;
    this.aspect = 1.8;
    this.born = 0;
  }

  /** Take over a graph: places stay, new nodes start beside a neighbour. */
  set(nodes, links) {
    let isNew = false;
    for (const id of this.at.keys()) {
      if (!nodes.has(id)) {
        this.at.delete(id);
        isNew = true;
      }
    }
    const neighbour = new Map();
    for (const { a, b } of links) {
      if (this.at.has(a)) neighbour.set(b, this.at.get(a));
      if (this.at.has(b)) neighbour.set(a, this.at.get(b));
    }
    for (const id of nodes.keys()) {
      if (this.at.has(id)) continue;
      const turn = GOLDEN * this.born;
      const from = neighbour.get(id) || { x: 0, y: 0 };
      const away = (neighbour.has(id) ? REST * 0.5 : 0) + SPIRAL * Math.sqrt(this.born);
      this.at.set(id, { x: from.x + away * Math.cos(turn), y: from.y + away * Math.sin(turn), vx: 0, vy: 0, links: 0, held: false });
      this.born += 1;
      isNew = true;
    }
    const before = this.links.length;
    for (const place of this.at.values()) place.links = 0;
    this.links = links.map(({ a, b }) => [this.at.get(a), this.at.get(b)]);
    for (const [a, b] of this.links) {
      a.links += 1;
      b.links += 1;
    }
    if (isNew || before !== this.links.length) this.warm(before ? 0.35 : 1);
  }

  warm(heat) {
    this.heat = Math.max(this.heat, heat);
  }

  get isWarm() {
    return this.heat > COLD;
  }

  /** One step; nothing once it is cold. */
  step() {
    if (!this.isWarm) return;
    const places = [...this.at.values()];
    this.push(places);
    for (const [a, b] of this.links) {
      const dx = b.x - a.x;
      const dy = b.y - a.y;
      const far = Math.hypot(dx, dy) || 1;
      const force = (SPRING * this.heat * (far - REST)) / far / Math.sqrt(Math.min(a.links, b.links));
      a.vx += force * dx;
      a.vy += force * dy;
      b.vx -= force * dx;
      b.vy -= force * dy;
    }
    for (const place of places) {
      place.vx = (place.vx - PULL * this.heat * place.x) * FRICTION;
      place.vy = (place.vy - PULL * this.heat * this.aspect * place.y) * FRICTION;
      if (place.held) continue;
      const fast = Math.max(1, Math.hypot(place.vx, place.vy) / FASTEST); // a crowd must not blow itself apart
      place.x += place.vx / fast;
      place.y += place.vy / fast;
    }
    this.heat *= COOLING;
  }

  push(places) {
    const strength = PUSH * this.heat;
    for (let i = 0; i < places.length; i++) {
      const a = places[i];
      for (let j = i + 1; j < places.length; j++) {
        const b = places[j];
        let dx = a.x - b.x;
        const dy = a.y - b.y;
        let far2 = dx * dx + dy * dy;
        if (far2 > FAR2) continue;
        if (far2 < 1) {
          dx += 0.5 + (i % 7) / 9;
          far2 = 1;
        }
        const force = Math.min(strength / far2, 24) / Math.sqrt(far2);
        a.vx += force * dx;
        a.vy += force * dy;
        b.vx -= force * dx;
        b.vy -= force * dy;
      }
    }
  }

  /** [left, top, right, bottom] of all places. */
  bounds() {
    let box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const { x, y } of this.at.values()) {
      box = [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y)];
    }
    return box[0] === Infinity ? [-1, -1, 1, 1] : box;
  }
}
