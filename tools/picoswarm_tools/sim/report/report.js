"use strict";
(() => {
  const $ = (id) => document.getElementById(id), { series, t, quantiles: q } = DATA;
  $("title").textContent = DATA.scenario;
  $("about").textContent = DATA.about;
  $("facts").textContent = `${DATA.total.toLocaleString("en")} nodes, ${show(DATA.minutes)} virtual minutes, seed ${DATA.seed}`;
  for (const each of DATA.expect) {
    const box = document.createElement("div"), limits = [];
    if (each.at_least !== null) limits.push("≥ " + show(each.at_least));
    if (each.at_most !== null) limits.push("≤ " + show(each.at_most));
    box.className = each.short_by ? "verdict missed" : "verdict";
    const value = each.value === null ? "not measured" : show(each.value);
    box.innerHTML = "<b></b><span></span><span class='dim'></span>";
    box.children[0].textContent = value + " ";
    box.children[0].append(Object.assign(document.createElement("small"), { textContent: each.unit === "share" ? "" : each.unit }));
    box.children[1].textContent = each.metric;
    box.children[2].textContent = `${limits.join(", ")} expected` + (each.short_by ? `: missed by ${show(each.short_by)}` : "");
    $("verdicts").append(box);
  }
  const charts = $("charts"), bands = bandsOf(DATA.events, t.at(-1) || 1), over = (names) => names.map(([name, key]) => ({ name, x: t, y: series[key] }));
  const had = (key) => series[key].some((value) => value);
  const perHour = (key) => t.map((at, i) => (series.on[i] ? (series[key][i] / series.on[i] / (at - (t[i - 1] || 0))) * 3600 : NaN));
  const rate = (key) => t.map((at, i) => series[key][i] / (at - (t[i - 1] || 0)));
  animate(DATA.topology, DATA.events);
  lineChart(charts, "Nodes", "with power, joined, and in the largest piece of the mesh", over([["on", "on"], ["joined", "joined"], ["largest piece", "largest"]]), { bands });
  shareChart(charts, "Joining", "share of boots that took at most so long", [["joined", q["join.seconds"]], ["first session", q["session.seconds"]], ["joined after a power cut", q["rejoin.seconds"]]]);
  const figure = (name) => (DATA.summary.find((each) => each.name === name) || {}).value;
  if (q["lookup.seconds"]) {
    shareChart(charts, "Look-ups", `${show(100 * figure("lookup.found"))} % found the node they wanted, after ${show(figure("lookup.queries.mean"))} queries on average`, [["look-up", q["lookup.seconds"]]]);
    const hops = q["lookup.hops"] || [], counts = {};
    for (const each of hops.slice(1)) counts[each] = (counts[each] || 0) + 1;
    barChart(charts, "Look-up hops", "nodes one after another that had to be asked; 0: the own table knew it", Object.keys(counts).map((each) => ({ name: `${each} hop${each === "1" ? "" : "s"}`, parts: [["look-ups", counts[each]]] })), ["look-ups"], (n) => show(n) + " %");
  }
  if (had("due")) {
    const share = t.map((_, i) => (series.due[i] ? (100 * series.delivered[i]) / series.due[i] : NaN));
    const kept = t.map((_, i) => i).filter((i) => !Number.isNaN(share[i]));
    lineChart(charts, "Delivery", `of due messages in time: ${show(100 * figure("publish.delivery"))} % in the whole run; ${show(figure("publish.repeated"))} came twice`, [{ name: "delivered", x: kept.map((i) => t[i]), y: kept.map((i) => share[i]) }], { bands, top: 100, yText: (y) => show(y) + " %" });
  }
  shareChart(charts, "Latency", "share of messages and answers that took at most so long", [["published message", q["publish.seconds"]], ["request, session included", q["request.seconds"]]]);
  lineChart(charts, "Bytes", "that a node sends, by the hour", [{ name: "datagrams", x: t, y: perHour("udp_bytes") }, { name: "sessions", x: t, y: perHour("tcp_bytes") }], { bands, yText: (y) => show(y) + "B" });
  lineChart(charts, "Packets", `a second, in the whole mesh; ${show(figure("packets.peak_per_second"))} in the busiest second`, [{ name: "datagrams", x: t, y: rate("udp") }, { name: "TCP segments", x: t, y: rate("tcp") }], { bands });
  lineChart(charts, "Tables", "entries that a node hands out", over([["entries", "live"]]), { bands });
  const wrong = [{ name: "without power", x: t, y: series.dead.map((each) => 100 * each) }];
  if (had("bad")) wrong.push({ name: "attackers", x: t, y: series.bad.map((each) => 100 * each) });
  if (had("dead") || had("bad")) lineChart(charts, "Wrong entries", "share of what tables hand out", wrong, { bands, yText: (y) => show(y) + " %" });
  lineChart(charts, "Sessions", "of a node that is on", over([["sessions", "links"]]), { bands });
  barChart(charts, "Bytes by group", "of a node in an hour", DATA.groups.map((each) => ({ name: `${each.name} (${each.nodes})`, parts: [["datagrams", each.udp], ["sessions", each.tcp]] })), ["datagrams", "sessions"], (n) => show(n) + "B");
  if (DATA.heap.length) {
    const parts = [...new Set(DATA.heap.flatMap((each) => each.parts.map((part) => part[0])))];
    barChart(charts, "Heap of a board", "as `picoswarm size` measures it, with the most sessions that one had", DATA.heap.map((each) => ({ name: `${each.group}: ${each.board}, ${each.sessions} sessions`, parts: each.parts, limit: each.heap })), parts, (n) => show(n) + "B");
  }
  const table = $("figures");
  table.innerHTML = "<thead><tr><th>figure</th><th></th><th>unit</th><th class='hide'>what</th></tr></thead><tbody></tbody>";
  for (const each of DATA.summary) {
    const row = table.tBodies[0].insertRow();
    [each.name, show(each.value), each.unit, each.what].forEach((text, i) => {
      const cell = row.insertCell();
      cell.textContent = text;
      cell.className = ["", "n", "", "hide"][i];
    });
  }
})();
