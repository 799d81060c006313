// Two codecs on the same clips: paired differences with intervals of the bootstrap over clips.
"use strict";

const DRAWS = 1000;

function randomNumbers(seed) { // mulberry32: the same draws whenever a page is opened
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function weightedMean(values, weights, picked) {
  let sum = 0, all = 0;
  for (const i of picked) (sum += values[i] * weights[i]), (all += weights[i]);
  return all ? sum / all : NaN;
}

function percentile(sorted, share) { // linear between neighbours, as numpy has it
  const at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

function paired(a, b, column, about) {
  const one = a.rows[column], two = b.rows[column];
  if (!one || !two || about.weight === "") return null;
  const ones = one.map(() => 1);
  const [wa, wb] = about.weight ? [a.rows[about.weight], b.rows[about.weight]] : [ones, ones];
  if (!wa || !wb) return null;
  const clips = one.map((_, i) => i).filter((i) => [one[i], two[i], wa[i], wb[i]].every((v) => v !== null));
  if (!clips.length) return null;
  const random = randomNumbers(0), differences = [];
  for (let draw = 0; draw < (clips.length > 1 ? DRAWS : 0); draw++) {
    const picked = clips.map(() => clips[Math.floor(random() * clips.length)]);
    const d = weightedMean(one, wa, picked) - weightedMean(two, wb, picked);
    if (Number.isFinite(d)) differences.push(d);
  }
  differences.sort((p, q) => p - q);
  const interval = differences.length ? [percentile(differences, 0.025), percentile(differences, 0.975)] : null;
  const means = [weightedMean(one, wa, clips), weightedMean(two, wb, clips)];
  let winner = "–";
  if (interval) {
    const [low, high] = interval;
    winner = low <= 0 && high >= 0 ? "tie" : (low > 0) === about.better ? a.name : b.name;
  }
  return { clips, means, interval, winner };
}

function tableOf(id, label, heads, rows) {
  const table = element("table", { id, "data-table": "" });
  const top = element("tr", {}, ...heads.map((h) => element("th", { scope: "col", "data-col": h }, h)));
  const body = element("tbody", {});
  for (const cells of rows) {
    const row = element("tr", {});
    cells.forEach(([text, value, kind], i) => {
      const cell = element(i ? "td" : "th", i ? {} : { scope: "row" }, text);
      if (value !== null && value !== undefined) cell.dataset.v = value;
      if (kind) cell.className = kind;
      row.append(cell);
    });
    body.append(row);
  }
  table.append(element("thead", {}, top), body);
  makeSortable(table);
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
}

function showPair(box, data, a, b, column) {
  const names = Object.keys(data.columns).filter((n) => data.columns[n].better !== null && data.columns[n].weight !== "");
  const rows = [];
  for (const name of names) {
    const about = data.columns[name], found = paired(a, b, name, about);
    if (!found) continue;
    const show = (v) => v.toFixed(about.digits);
    const [ma, mb] = found.means;
    rows.push([
      [name + (about.better ? " ↑" : " ↓"), name], [show(ma), ma], [show(mb), mb], [show(ma - mb), ma - mb],
      [found.interval ? `${show(found.interval[0])} to ${show(found.interval[1])}` : "–", null],
      [String(found.clips.length), found.clips.length], [found.winner, found.winner, "text"],
    ]);
  }
  box.replaceChildren();
  if (!rows.length) return box.append("These two have no clips with a number in common.");
  box.append(element("h2", {}, "All columns"), tableOf("pair", "All columns", ["column", a.name, b.name + " ", "difference", "95 % interval", "clips", "better"], rows));
  const about = data.columns[column], one = a.rows[column], two = b.rows[column];
  box.append(element("h2", {}, `${column}, clip by clip`));
  if (!one || !two) return box.append("Not measured for both.");
  const show = (v) => (v === null ? ["–", null, "missing"] : [v.toFixed(about.digits), v]);
  const each = data.clips.map((clip, i) => {
    const d = one[i] === null || two[i] === null ? null : one[i] - two[i];
    const better = d === null ? "–" : d === 0 ? "equal" : d > 0 === about.better ? a.name : b.name;
    return [[clip, clip], show(one[i]), show(two[i]), show(d), [better, better, "text"]];
  });
  const won = (name) => each.filter((row) => row[4][0] === name).length;
  box.append(element("p", {}, `${a.name} is better on ${won(a.name)} clips, ${b.name} on ${won(b.name)}. ${about.description}.`));
  box.append(tableOf("clips", "Clip by clip", ["clip", a.name, b.name + " ", "difference", "better"], each));
}

document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("[data-compare]"), data = window.audiotok;
  if (!box || !data) return;
  const codecs = data.codecs.filter((c) => Object.keys(c.rows).length);
  const names = Object.keys(data.columns).filter((n) => data.columns[n].better !== null && codecs.some((c) => c.rows[n]));
  if (codecs.length < 2 || !names.length) return box.replaceChildren("Fewer than two codecs have rows here.");
  const now = state.read(), neural = codecs.filter((c) => c.role === "neural");
  const first = (neural[0] || codecs[0]).name;
  const second = (codecs.find((c) => c.role === "baseline") || codecs.find((c) => c.name !== first)).name;
  const titles = codecs.map((c) => [c.name, c.title]);
  const [aLabel, a] = choice("First", "a", titles, now.get("a") || first);
  const [bLabel, b] = choice("Second", "b", titles, now.get("b") || second);
  const [cLabel, c] = choice("Clips by", "column", names.map((n) => [n, n]), now.get("column"));
  const out = element("div", {});
  box.replaceChildren(element("div", { class: "filters" }, aLabel, bLabel, cLabel), out);
  const of = (select) => codecs.find((codec) => codec.name === select.value);
  const redraw = () => showPair(out, data, of(a), of(b), c.value);
  for (const select of [a, b, c]) select.addEventListener("change", () => (state.set(select.name, select.value), redraw()));
  redraw();
});
