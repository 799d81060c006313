// Draws quality against what it costs, with intervals, the curve of each codec and the Pareto front.
"use strict";

const DARK = matchMedia("(prefers-color-scheme: dark)");
const HUES = {
  false: ["#0b62c4", "#b45309", "#15803d", "#a21caf", "#0e7490", "#b91c1c", "#6d28d9", "#4d7c0f"],
  true: ["#6cb0ff", "#f0a35a", "#5fd38a", "#e38bf0", "#4fc6dc", "#ff8a8a", "#b79bff", "#a6d85a"],
};

function paretoFront(points, better) {
  const sign = better ? 1 : -1;
  let best = -Infinity;
  const rising = [...points].sort((a, b) => a.x - b.x || sign * (b.y - a.y));
  return rising.filter((point) => sign * point.y > best && ((best = sign * point.y), true));
}

function ticksOf(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * power >= rough) * power;
  const ticks = [];
  for (let t = Math.ceil(low / step) * step; t <= high + 1e-9; t += step) ticks.push(+t.toPrecision(12));
  return ticks;
}

function drawPicture(box, data, x, y) {
  const column = data.columns[y];
  const ranked = data.codecs.filter((c) => c.role === "neural" || c.role === "baseline");
  const points = ranked
    .filter((c) => c.scores[x] && c.scores[x][0] > 0 && c.scores[y])
    .map((c) => ({ codec: c, x: c.scores[x][0], y: c.scores[y][0], low: c.scores[y][1], high: c.scores[y][2] }));
  box.replaceChildren();
  if (!points.length) return box.append("No codec has both numbers.");
  const narrow = box.clientWidth < 600;
  const wide = narrow ? 560 : 900, tall = 440, left = 66, right = 16, top = 12, bottom = 48;
  const xs = points.map((p) => Math.log2(p.x));
  const ys = points.flatMap((p) => [p.y, p.low ?? p.y, p.high ?? p.y]);
  let [x0, x1, y0, y1] = [Math.min(...xs) - 0.4, Math.max(...xs) + 0.9, Math.min(...ys), Math.max(...ys)];
  const pad = (y1 - y0) * 0.08 || Math.abs(y1) * 0.1 || 1;
  [y0, y1] = [y0 - pad, y1 + pad];
  const px = (v) => left + ((Math.log2(v) - x0) / (x1 - x0)) * (wide - left - right);
  const py = (v) => tall - bottom - ((v - y0) / (y1 - y0)) * (tall - top - bottom);
  const svg = element("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "group", "aria-label": `${y} against ${x}` });
  for (let e = Math.ceil(x0); e <= x1; e++) {
    const at = px(2 ** e), every = narrow && e % 2;
    svg.append(element("line", { class: "grid", x1: at, x2: at, y1: top, y2: tall - bottom }));
    if (!every) svg.append(element("text", { x: at, y: tall - bottom + 18, "text-anchor": "middle" }, String(+(2 ** e).toPrecision(4))));
  }
  for (const t of ticksOf(y0, y1)) {
    svg.append(element("line", { class: "grid", x1: left, x2: wide - right, y1: py(t), y2: py(t) }));
    svg.append(element("text", { x: left - 6, y: py(t) + 4, "text-anchor": "end" }, String(t)));
  }
  const unit = (name) => (data.columns[name].unit ? `, ${data.columns[name].unit}` : "");
  svg.append(element("text", { x: (left + wide) / 2, y: tall - 8, "text-anchor": "middle" }, data.columns[x].title + unit(x) + " (logarithmic scale)"));
  svg.append(element("text", { x: 14, y: tall / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${tall / 2})` }, column.title + unit(y) + (column.better ? " ↑" : " ↓")));
  const curves = [...new Set(points.map((p) => p.codec.curve))].sort();
  const hues = HUES[DARK.matches], hue = (p) => hues[curves.indexOf(p.codec.curve) % hues.length];
  for (const curve of curves) {
    const own = points.filter((p) => p.codec.curve === curve);
    if (own.length < 2) continue;
    const line = paretoFront(own, column.better).map((p) => `${px(p.x)},${py(p.y)}`).join(" ");
    svg.append(element("polyline", { class: "curve", points: line, stroke: hue(own[0]) }));
  }
  const named = (data.fronts.find((f) => f.cost === x && f.column === y) || { codecs: [] }).codecs;
  const front = named.map((name) => points.find((p) => p.codec.name === name)).filter(Boolean);
  let path = "";
  front.forEach((p, i) => (path += i ? `H${px(p.x)}V${py(p.y)}` : `M${px(p.x)},${py(p.y)}`));
  if (front.length) svg.append(element("path", { class: "front", d: path + `H${wide - right}` }));
  const taken = points.map((p) => [px(p.x) - 6, py(p.y) - 6, 12, 12]); // markers, then labels
  const size = narrow ? 9 : 6.6;
  const isFree = (box) => box[0] >= left && box[0] + box[2] <= wide && box[1] >= 0 && box[1] + box[3] <= tall - bottom &&
    !taken.some((t) => t[0] < box[0] + box[2] && box[0] < t[0] + t[2] && t[1] < box[1] + box[3] && box[1] < t[1] + t[3]);
  points.sort((p, q) => named.includes(q.codec.name) - named.includes(p.codec.name));
  for (const p of points) {
    const at = [px(p.x), py(p.y)];
    const link = document.createElementNS("http://www.w3.org/2000/svg", "a");
    link.setAttribute("href", p.codec.page);
    const digits = column.digits;
    const text = `${p.codec.name}: ${p.y.toFixed(digits)}` + (p.low === null ? "" : ` (${p.low.toFixed(digits)} to ${p.high.toFixed(digits)})`) + ` at ${+p.x.toPrecision(6)}${unit(x)}`;
    link.setAttribute("aria-label", text);
    link.append(element("title", {}, text));
    if (p.low !== null) link.append(element("line", { class: "bar", stroke: hue(p), x1: at[0], x2: at[0], y1: py(p.low), y2: py(p.high) }));
    const hollow = p.codec.role === "baseline";
    link.append(element("circle", { cx: at[0], cy: at[1], r: 5, fill: hollow ? "var(--bg)" : hue(p), stroke: hue(p), "stroke-width": 2 }));
    const short = p.codec.name.length > 26 ? p.codec.name.slice(0, 25) + "…" : p.codec.name;
    const breadth = short.length * size;
    for (const down of [4, -6, 14, -18, 26]) {
      const spot = [at[0] + 9, at[0] - 9 - breadth].find((x) => isFree([x, at[1] + down - 12, breadth, 15]));
      if (spot === undefined) continue;
      taken.push([spot, at[1] + down - 12, breadth, 15]);
      const end = spot < at[0];
      link.append(element("text", { x: at[0] + (end ? -9 : 9), y: at[1] + down, class: "name", "text-anchor": end ? "end" : "start" }, short));
      break;
    }
    svg.append(link);
  }
  const caption = `${column.description}. ● neural, ○ classical; lines connect the best points of one codec. ${front.length ? `The dashed line is the Pareto front: ${named.join(", ")}` : "No front: this column is not ranked"}. Bars are 95 % intervals.`;
  box.append(element("figure", {}, svg, element("figcaption", {}, caption)));
}

document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("[data-picture]"), data = window.audiotok;
  if (!box || !data) return;
  const names = Object.keys(data.columns);
  const has = (name) => data.codecs.some((c) => c.scores[name]);
  const costs = data.costs.filter((name) => names.includes(name) && has(name));
  const qualities = names.filter((name) => data.columns[name].better !== null && !costs.includes(name) && has(name));
  if (!costs.length || !qualities.length) return box.replaceChildren("No codec here has a measured bitrate and a quality: there is nothing to draw.");
  const now = state.read();
  const [yLabel, y] = choice("Quality", "y", qualities.map((n) => [n, data.columns[n].title]), now.get("y") || data.quality);
  const [xLabel, x] = choice("against", "x", costs.map((n) => [n, data.columns[n].title]), now.get("x"));
  const canvas = element("div", {});
  box.replaceChildren(element("div", { class: "filters" }, yLabel, xLabel), canvas);
  const redraw = () => drawPicture(canvas, data, x.value, y.value);
  for (const select of [x, y]) select.addEventListener("change", () => (state.set(select.name, select.value), redraw()));
  addEventListener("resize", redraw);
  DARK.addEventListener("change", redraw);
  redraw();
});
