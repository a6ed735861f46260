"use strict";
// Charts in SVG, drawn at the width that there is, so that their text never shrinks.
const SVG = "http://www.w3.org/2000/svg";
const COLORS = ["var(--s0)", "var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)", "var(--s5)"];

function node(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function show(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return +(value / 1e6).toPrecision(3) + " M";
  if (size >= 1e4) return +(value / 1e3).toPrecision(3) + " k";
  if (size >= 100) return Math.round(value).toLocaleString("en");
  return String(+value.toPrecision(3));
}

function clockText(seconds) {
  const s = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  return (s >= 3600 ? Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) : Math.floor(s / 60)) + ":" + two(s % 60);
}

// About n round numbers from low to high.
function ticks(low, high, n) {
  const raw = (high - low) / n || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((each) => each >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(+at.toPrecision(10));
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) found.push(10 ** power);
  if (found.length > 3) return found;
  return found.flatMap((each) => [each, 2 * each, 5 * each]).filter((each) => each >= low && each <= high);
}

function duration(seconds) {
  if (seconds < 1) return show(seconds * 1000) + " ms";
  return seconds < 120 ? show(seconds) + " s" : show(seconds / 60) + " min";
}

// A card with a title, a note and a place for the drawing, which `draw(svg, width, height)` fills whenever the width changes.
function card(parent, title, note, legend, height, draw) {
  const section = document.createElement("section");
  section.className = "card chart";
  section.innerHTML = "<h2></h2><p class='note'></p>";
  section.querySelector("h2").textContent = title;
  section.querySelector("p").textContent = note;
  const svg = node("svg", { height, role: "img", "aria-label": title }, section);
  if (legend.length) {
    const line = document.createElement("p");
    line.className = "legend";
    for (const [name, color, isBar] of legend) {
      const item = document.createElement("span"), mark = document.createElement("i");
      mark.style.background = color;
      if (isBar) mark.className = "bar";
      item.append(mark, name);
      line.append(item);
    }
    section.append(line);
  }
  parent.append(section);
  let width = 0;
  new ResizeObserver(() => {
    if (svg.clientWidth === width || !svg.clientWidth) return;
    width = svg.clientWidth;
    svg.replaceChildren();
    draw(svg, width, height);
  }).observe(svg);
}

// Lines over x. series: [{name, x: [...], y: [...]}]. options: log, bands [[from, to]], top, xText, yText, stepped.
function lineChart(parent, title, note, series, options = {}) {
  series = series.filter((each) => each.x.length > 1);
  if (!series.length) return;
  const { log = false, bands = [], xText = clockText, yText = show } = options;
  const xs = series.flatMap((each) => each.x).filter((x) => !log || x > 0), ys = series.flatMap((each) => each.y).filter((y) => !Number.isNaN(y));
  let low = Math.min(...xs), high = Math.max(...xs);
  if (log) { low = Math.max(low, high / 1e5); if (high / low < 4) { low /= 2; high *= 2; } }
  const top = options.top || ticks(0, Math.max(...ys, 1e-9) * 1.02, 4).at(-1) * 1.0001 || 1;
  const upper = Math.max(top, Math.max(...ys));
  const legend = series.length > 1 ? series.map((each, i) => [each.name, COLORS[i]]) : [];
  card(parent, title, note, legend, 220, (svg, width, height) => {
    const left = 44, right = 10, bottom = 24, up = 8;
    const scale = (x) => (log ? Math.log(Math.max(x, low) / low) / Math.log(high / low) : (x - low) / (high - low || 1));
    const X = (x) => left + scale(x) * (width - left - right);
    const Y = (y) => height - bottom - (y / upper) * (height - bottom - up);
    for (const [from, to] of bands) {
      const x = X(Math.max(low, from));
      node("rect", { x, y: up, width: Math.max(2, X(Math.min(high, to)) - x), height: height - bottom - up, fill: "var(--band)" }, svg);
    }
    for (const y of ticks(0, upper, 4)) {
      node("line", { x1: left, x2: width - right, y1: Y(y), y2: Y(y), stroke: "var(--grid)" }, svg);
      node("text", { x: left - 7, y: Y(y) + 4, "text-anchor": "end" }, svg, yText(y));
    }
    let last = -99;
    const steps = log ? logTicks(low, high) : options.xText ? ticks(low, high, 5) : minuteTicks(low, high);
    for (const x of steps) {
      const at = X(x);
      if (x < low * 0.999 || x > high * 1.001 || at - last < 52) continue;
      last = at;
      node("text", { x: at, y: height - 6, "text-anchor": at < left + 18 ? "start" : at > width - 30 ? "end" : "middle" }, svg, xText(x));
    }
    series.forEach((each, i) => {
      let path = "";
      each.x.forEach((x, k) => {
        if (Number.isNaN(each.y[k])) return;
        path += (path ? (options.stepped ? "H" + X(x).toFixed(1) + "V" : "L" + X(x).toFixed(1) + " ") : "M" + X(x).toFixed(1) + " ") + Y(each.y[k]).toFixed(1);
      });
      node("path", { d: path, fill: "none", stroke: COLORS[i], "stroke-width": 2, "stroke-linejoin": "round" }, svg);
    });
    hover(svg, width, height, left, right, (at) => {
      const share = (at - left) / (width - left - right);
      const x = log ? low * (high / low) ** share : low + share * (high - low);
      const lines = series.map((each, i) => {
        let k = each.x.findIndex((value) => value > x);
        k = Math.max(0, (k < 0 ? each.x.length : k) - 1);
        return [`${each.name}: ${yText(each.y[k])}`, COLORS[i]];
      });
      return [xText(x), lines];
    });
  });
}

function minuteTicks(low, high) {
  const minutes = (high - low) / 60, step = [0.5, 1, 2, 5, 10, 15, 30, 60, 120].find((each) => minutes / each <= 6) || 240;
  const found = [];
  for (let at = Math.ceil(low / 60 / step) * step; at * 60 <= high; at += step) found.push(at * 60);
  return found;
}

function hover(svg, width, height, left, right, tell) {
  const rule = node("line", { y1: 8, y2: height - 24, stroke: "var(--dim)", "stroke-dasharray": "3 3", visibility: "hidden" }, svg);
  const tip = node("g", { class: "tip", visibility: "hidden" }, svg);
  svg.onpointermove = (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    if (at < left || at > width - right) return svg.onpointerleave();
    const [head, lines] = tell(at);
    const wide = 16 + 6.9 * Math.max(head.length, ...lines.map((each) => each[0].length + 2)), x = at + wide + 12 > width ? Math.max(0, at - wide - 8) : at + 8;
    tip.replaceChildren();
    node("rect", { x, y: 8, width: wide, height: 22 + 17 * lines.length, rx: 6 }, tip);
    node("text", { x: x + 8, y: 24, "font-weight": 600 }, tip, head);
    lines.forEach(([text, color], i) => {
      node("circle", { cx: x + 12, cy: 37 + 17 * i, r: 4, fill: color }, tip);
      node("text", { x: x + 21, y: 41 + 17 * i }, tip, text);
    });
    rule.setAttribute("x1", at);
    rule.setAttribute("x2", at);
    rule.setAttribute("visibility", "visible");
    tip.setAttribute("visibility", "visible");
  };
  svg.onpointerleave = () => { rule.setAttribute("visibility", "hidden"); tip.setAttribute("visibility", "hidden"); };
}

// What share took at most how long: quantiles by name.
function shareChart(parent, title, note, found, options = {}) {
  const series = found.filter((each) => each[1]).map(([name, values]) => ({ name, x: values, y: values.map((_, i) => i) }));
  lineChart(parent, title, note, series, { log: true, top: 100, xText: duration, yText: (y) => show(y) + " %", stepped: true, ...options });
}

// Rows of stacked bars: [{name, parts: [[what, size]], limit}].
function barChart(parent, title, note, rows, legend, text = show) {
  if (!rows.length) return;
  const most = Math.max(...rows.map((row) => Math.max(row.limit || 0, row.parts.reduce((sum, part) => sum + part[1], 0)))) || 1;
  const colors = Object.fromEntries(legend.map((name, i) => [name, COLORS[i % COLORS.length]]));
  card(parent, title, note, legend.map((name) => [name, colors[name], true]), rows.length * 46 + 6, (svg, width) => {
    const isNarrow = width < 400 && rows.some((row) => row.name.length > 24), tall = isNarrow ? 64 : 46;
    svg.setAttribute("height", rows.length * tall + 6);
    rows.forEach((row, i) => {
      const y = i * tall + 20, whole = row.parts.reduce((sum, part) => sum + part[1], 0);
      node("text", { x: 0, y: y - 5 }, svg, row.name);
      const isOver = row.limit && whole > row.limit, size = row.limit ? `${text(whole)} of ${text(row.limit)}` : text(whole);
      node("text", { x: width, y: isNarrow ? y + 30 : y - 5, "text-anchor": "end", ...(isOver ? { style: "fill: var(--bad)" } : {}) }, svg, isOver ? `${size}: does not fit` : size);
      if (row.limit) node("rect", { x: 0, y, width: (row.limit / most) * width, height: 16, rx: 3, fill: "var(--grid)" }, svg);
      let x = 0;
      for (const [what, part] of row.parts) {
        const wide = (part / most) * width;
        const bar = node("rect", { x, y, width: Math.max(0, wide - 1), height: 16, rx: 2, fill: colors[what] }, svg);
        node("title", {}, bar, `${what}: ${text(part)}`);
        x += wide;
      }
    });
  });
}
