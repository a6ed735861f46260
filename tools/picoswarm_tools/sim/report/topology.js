"use strict";
// The mesh over time: nodes that stand still, sessions that come and go.
function animate(data, events) {
  const root = document.getElementById("topology"), canvas = root.querySelector("canvas"), slider = document.getElementById("time");
  const { nodes, frames, rings } = data;
  const states = [], edges = [];
  let state = nodes.map(() => "off"), held = new Map();
  for (const [, changed, opened, closed] of frames) {
    state = state.slice();
    for (const index in changed) state[index] = changed[index];
    held = new Map(held);
    for (const edge of closed) held.delete(edge.join());
    for (const edge of opened) held.set(edge.join(), edge);
    states.push(state);
    edges.push([...held.values()]);
  }
  const fresh = frames.map((frame) => new Set(frame[2].map((edge) => edge.join())));
  slider.max = frames.length - 1;
  const top = Math.max(0, Math.min(...rings.map((ring) => ring.y - ring.r)) - (rings.length > 1 ? 50 : 8));
  const tall = Math.min(1000, Math.max(...rings.map((ring) => ring.y + ring.r)) + 8) - top;
  canvas.style.aspectRatio = `1000 / ${tall}`;
  const size = nodes.length > 300 ? 3.4 : nodes.length > 100 ? 5 : 7;
  const looks = [["joined", "--s2"], ["on, not joined yet", "--s4"], ["no power", "--dim"], ["gateway or bootstrap node", "--s0"]];
  if (nodes.some((each) => each.role === "attacker")) looks.push(["attacker", "--bad"]);
  document.getElementById("legend").innerHTML = looks.map(([name, color]) => `<span><i style="background:var(${color})"></i>${name}</span>`).join("")
    + (data.all > nodes.length ? `<span class="dim">${nodes.length} of ${data.all.toLocaleString("en")} nodes are drawn</span>` : "");
  const end = frames.at(-1)[0], marks = document.getElementById("marks");
  for (const [from, to] of bandsOf(events, end)) {
    const mark = document.createElement("i");
    mark.style.left = (100 * from) / end + "%";
    mark.style.width = (100 * (to - from)) / end + "%";
    marks.append(mark);
  }

  let over = -1;
  function draw() {
    const at = +slider.value, wide = canvas.clientWidth, dense = window.devicePixelRatio || 1;
    if (!wide) return;
    canvas.width = Math.round(wide * dense);
    canvas.height = Math.round((wide * dense * tall) / 1000);
    const pen = canvas.getContext("2d"), scale = (wide * dense) / 1000, style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    pen.scale(scale, scale);
    pen.translate(0, -top);
    pen.font = `${Math.max(15, 12 / (wide / 1000))}px system-ui, sans-serif`;
    pen.textAlign = "center";
    for (const ring of rings) {
      pen.strokeStyle = color("--line");
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.arc(ring.x, ring.y, ring.r, 0, 7);
      pen.stroke();
      pen.fillStyle = color("--dim");
      if (rings.length > 1) pen.fillText(ring.name, ring.x, Math.max(top + 16, ring.y - ring.r - 9));
    }
    const lined = (list, name, alpha, width) => {
      pen.strokeStyle = color(name);
      pen.globalAlpha = alpha;
      pen.lineWidth = width;
      pen.beginPath();
      for (const [a, b] of list) { pen.moveTo(nodes[a].x, nodes[a].y); pen.lineTo(nodes[b].x, nodes[b].y); }
      pen.stroke();
      pen.globalAlpha = 1;
    };
    const all = edges[at], count = all.length;
    lined(all, "--dim", count > 1500 ? 0.14 : count > 400 ? 0.25 : 0.42, count > 400 ? 0.9 : 1.3);
    lined(all.filter((edge) => fresh[at].has(edge.join())), "--s1", 0.6, 1.6);
    if (over >= 0) lined(all.filter((edge) => edge.includes(over)), "--s0", 1, 2.6);
    const small = Math.max(size, 2.2 / (wide / 1000));
    nodes.forEach((each, i) => {
      const isBig = each.role !== "board" && each.role !== "attacker";
      const is = states[at][i];
      const name = is === "off" ? "--dim" : each.role === "attacker" ? "--bad" : isBig ? "--s0" : is === "joined" ? "--s2" : "--s4";
      pen.beginPath();
      pen.arc(each.x, each.y, isBig ? small * 1.9 : i === over ? small * 1.6 : small, 0, 7);
      pen.fillStyle = is === "off" ? color("--card") : color(name);
      pen.fill();
      pen.lineWidth = is === "off" ? 1.6 : 1;
      pen.strokeStyle = is === "off" ? color("--dim") : color("--card");
      pen.stroke();
    });
    document.getElementById("clock").value = clockText(frames[at][0]);
    const on = states[at].filter((each) => each !== "off").length;
    const said = events.filter((event) => event.t <= frames[at][0] && event.t > (at ? frames[at - 1][0] : -1)).map(describe);
    const who = over >= 0 ? `${nodes[over].name}, ${nodes[over].group}, ${all.filter((edge) => edge.includes(over)).length} sessions` : "";
    document.getElementById("now").textContent = who || `${on} of ${nodes.length} nodes have power, ${count} sessions. ${said.join(" ")}`;
  }

  function stepTo(at) { slider.value = at; draw(); }
  let timer = 0;
  const button = document.getElementById("play"), speed = document.getElementById("speed");
  function stop() { clearTimeout(timer); timer = 0; button.textContent = "▶"; button.setAttribute("aria-label", "Play"); }
  function go() {
    timer = setTimeout(() => {
      if (+slider.value >= frames.length - 1) return stop();
      stepTo(+slider.value + 1);
      go();
    }, Math.max(30, 12000 / frames.length) / speed.value);
  }
  button.onclick = () => {
    if (timer) return stop();
    if (+slider.value >= frames.length - 1) stepTo(0);
    button.textContent = "❚❚";
    button.setAttribute("aria-label", "Pause");
    go();
  };
  slider.oninput = () => { stop(); draw(); };
  canvas.onpointermove = (event) => {
    const box = canvas.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * 1000, y = ((event.clientY - box.top) / box.width) * 1000 + top;
    let best = -1, far = 25 ** 2;
    nodes.forEach((each, i) => { const d = (each.x - x) ** 2 + (each.y - y) ** 2; if (d < far) { far = d; best = i; } });
    if (best !== over) { over = best; draw(); }
  };
  canvas.onpointerleave = () => { over = -1; draw(); };
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  stepTo(frames.length - 1);
  window.showFrame = stepTo;
}

// Faults as [from, to] in seconds.
function bandsOf(events, end) {
  return events.filter((event) => event.event === "fault").map((event) => [event.t, Math.min(end, event.t + event.for_s)]);
}

function describe(event) {
  const names = { power: "power cut", wifi: "Wi-Fi outage", partition: "partition" }, at = clockText(event.t);
  if (event.event === "fault") return `${at} ${names[event.what]} of ${event.nodes} nodes.`;
  if (event.event === "healed") return `${at} ${names[event.what]} is over.`;
  if (event.event === "one piece") return `${at} one mesh again, ${show(event.after_s)} s after.`;
  return "";
}
