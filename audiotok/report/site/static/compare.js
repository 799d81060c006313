// Two codecs on the same clips, by the statistics of statistics.js.
"use strict";

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
  const pairs = compared(data, a, b), rows = [];
  for (const pair of pairs) {
    const about = data.columns[pair.name], [ma, mb] = pair.means;
    const show = (v) => v.toFixed(about.digits);
    const seeds = pair.seeds.length ? ` (${pair.seeds.filter(Boolean).length} of ${pair.seeds.length} seeds)` : "";
    rows.push([
      [about.title + (about.better ? " ↑" : " ↓"), pair.name], [show(ma), ma], [show(mb), mb], [show(ma - mb), ma - mb],
      [pair.interval ? `${show(pair.interval[0])} to ${show(pair.interval[1])}` : "–", null],
      [String(pair.n), pair.n], [pair.winner + (pair.winner === "–" ? "" : seeds), pair.winner, "text"],
    ]);
  }
  box.replaceChildren();
  if (!rows.length) return box.append("These two have no clips with a number in common.");
  box.append(element("h2", {}, "All columns"), tableOf("pair", "All columns", ["column", a.name, b.name + "\u00a0", "difference", "95 % interval", "clips", "better"], rows));
  box.append(element("p", {}, `Verdicts are after Holm's correction for ${pairs[0].comparisons} columns.`));
  const about = data.columns[column], one = a.rows[column], two = b.rows[column];
  box.append(element("h2", {}, `${data.columns[column].title}, clip by clip`));
  if (!one || !two) return box.append("Not measured for both.");
  const show = (v) => (v === null ? ["–", null, "missing"] : [v.toFixed(about.digits), v]);
  const each = data.clips.map((clip, i) => {
    const d = one[i] === null || two[i] === null ? null : one[i] - two[i];
    const better = d === null ? "–" : d === 0 ? "equal" : d > 0 === about.better ? a.name : b.name;
    return [[clip, clip], show(one[i]), show(two[i]), show(d), [better, better, "text"]];
  });
  const won = (name) => each.filter((row) => row[4][0] === name).length;
  box.append(element("p", {}, `${a.name} is better on ${won(a.name)} clips, ${b.name} on ${won(b.name)}. ${about.description}.`));
  box.append(tableOf("clips", "Clip by clip", ["clip", a.name, b.name + "\u00a0", "difference", "better"], each));
}

document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("[data-compare]"), data = window.audiotok;
  if (!box || !data) return;
  const codecs = data.codecs.filter((c) => Object.keys(c.rows).length);
  const names = Object.keys(data.columns).filter((n) => data.columns[n].better !== null && codecs.some((c) => c.rows[n]));
  if (codecs.length < 2 || !names.length) return box.replaceChildren("Fewer than two codecs have rows here.");
  const now = state.read(), pair = data.pair.filter((name) => codecs.some((c) => c.name === name));
  const first = pair[0] || codecs[0].name;
  const second = pair[1] || codecs.find((c) => c.name !== first).name;
  const titles = codecs.map((c) => [c.name, c.title]);
  const [aLabel, a] = choice("First", "a", titles, now.get("a") || first);
  const [bLabel, b] = choice("Second", "b", titles, now.get("b") || second);
  const [cLabel, c] = choice("Clips by", "column", names.map((n) => [n, data.columns[n].title]), now.get("column") || data.quality);
  const out = element("div", {});
  box.replaceChildren(element("div", { class: "filters" }, aLabel, bLabel, cLabel), out);
  const of = (select) => codecs.find((codec) => codec.name === select.value);
  const redraw = () => showPair(out, data, of(a), of(b), c.value);
  for (const select of [a, b, c]) select.addEventListener("change", () => (state.set(select.name, select.value), redraw()));
  redraw();
});
