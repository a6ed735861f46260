// Elements and words. Whatever comes from the network gets into the page as text nodes and by no other way.

const SVG = "http://www.w3.org/2000/svg"; // a name, not an address: nothing is fetched from there

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A new element: `h("p", {class: "quiet"}, "text", child)`. Strings become text. `onclick` and the like take functions. */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** The same for drawings. */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Set a text only where it differs: a selection of the reader stays. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make the children of `parent` those that `keys` name, in that order. What is there already is moved only if it has to;
 * `make(key)` makes what is not. Elements are kept in the Map `known`. */
export function keyed(parent, keys, known, make) {
  const wanted = new Set(keys);
  for (const [key, element] of known) {
    if (!wanted.has(key)) {
      element.remove();
      known.delete(key);
    }
  }
  let at = parent.firstElementChild;
  for (const key of keys) {
    let element = known.get(key);
    if (!element) known.set(key, (element = make(key)));
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
}

/** Something to do at most once in `ms`, last call included. */
export function atMostEvery(ms, what) {
  let timer = null;
  let last = -Infinity;
  return () => {
    if (timer !== null) return;
    const run = () => {
      timer = null;
      last = performance.now();
      what();
    };
    timer = setTimeout(run, Math.max(0, last + ms - performance.now()));
  };
}

// Words for numbers

export const short = (id) => (id || "").slice(0, 8);

export function bytes(n) {
  if (typeof n !== "number" || !isFinite(n)) return "–";
  let unit = 0;
  while (n >= 999.5 && unit < 4) {
    n /= 1000;
    unit += 1;
  }
  return `${unit === 0 || n >= 99.5 ? Math.round(n) : n.toFixed(n >= 9.95 ? 0 : 1)} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
}

export function count(n) {
  if (typeof n !== "number" || !isFinite(n)) return "–";
  if (Math.abs(n) < 10 && !Number.isInteger(n)) return n.toFixed(1);
  return Math.round(n).toLocaleString("en");
}

export function rtt(ms) {
  if (typeof ms !== "number" || !isFinite(ms)) return "–";
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** How long ago a moment (unix seconds) is, in one unit. */
export function ago(then, now = Date.now() / 1000) {
  if (typeof then !== "number" || then <= 0) return "–";
  const s = Math.max(0, now - then);
  return s < 2 ? "now" : `${span(s)} ago`;
}

/** A length of time in its largest unit. */
export function span(s) {
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

/** The time of day of a moment (unix seconds). */
export const clock = (t) => new Date(t * 1000).toLocaleTimeString("en-GB");
