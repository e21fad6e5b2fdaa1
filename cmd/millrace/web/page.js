// Shows the topology once and its counters every second.
"use strict";

const format = new Intl.NumberFormat("en");
let before = null; // counters of the last look, for rates

function cell(row, text, numeric) {
  const td = row.insertCell();
  td.textContent = text;
  if (numeric) td.className = "n";
}

function fill(id, rows, draw) {
  const body = document.createElement("tbody");
  body.id = id;
  for (const r of rows) draw(body.insertRow(), r);
  document.getElementById(id).replaceWith(body);
}

function rate(id, now, at) {
  if (!before || at <= before.at) return "–";
  return format.format(Math.round((now - (before.rules[id]?.in ?? 0)) * 1000 / (at - before.at)));
}

function show(topology, status) {
  const at = performance.now();
  document.getElementById("state").textContent = status.ready ? "✓ ready" : "… not ready";
  document.getElementById("about").textContent = `${status.app}, ${status.guarantee}, rules ${status.rules_checksum}`;
  fill("rules", topology.rules, (row, r) => {
    const n = status.rules[r.id] ?? { in: 0, matched: 0, out: 0, dead: 0 };
    cell(row, r.id);
    cell(row, r.kind);
    cell(row, r.from.join(", "));
    cell(row, r.to.join(", "));
    cell(row, format.format(n.in), true);
    cell(row, rate(r.id, n.in, at), true);
    for (const v of [n.matched, n.out, n.dead]) cell(row, format.format(v), true);
  });
  const groups = status.workers.flatMap(w => w.groups.map(g => ({ worker: w.instance, ...g })));
  fill("groups", groups, (row, g) => {
    cell(row, g.name);
    cell(row, g.worker);
    cell(row, g.error ? "✗ " + g.error : g.ready ? "✓ ready" : "… joining");
    cell(row, Object.values(g.claims ?? {}).flat().length, true);
    cell(row, status.lag?.[g.name] === undefined ? "n/a" : format.format(status.lag[g.name]), true);
  });
  before = { at, rules: status.rules };
}

async function run() {
  const topology = await (await fetch("api/topology")).json();
  fill("streams", topology.streams, (row, s) => {
    for (const v of [s.name, s.source ? "source" : "derived", s.topic, s.key ?? "", s.description ?? ""]) cell(row, v);
  });
  for (;;) {
    try {
      show(topology, await (await fetch("api/status")).json());
    } catch {
      document.getElementById("state").textContent = "✗ no connection";
    }
    await new Promise(r => setTimeout(r, 1000));
  }
}

run();
