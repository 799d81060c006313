// Quality against cost, drawn from the numbers in the table.
"use strict";
(() => {
  const place = document.getElementById("chart");
  if (!place) return;
  const table = document.getElementById("results");
  const quality = document.getElementById("quality"), axis = document.getElementById("axis");
  const heads = [...table.tHead.rows[0].cells].filter(head => head.dataset.better);
  const axes = [...axis.options].map(option => option.value);
  const WIDTH = 760, HEIGHT = 380, LEFT = 60, BOTTOM = 45, TOP = 15, RIGHT = 20;
  const number = (row, name) => {
    const cell = row.querySelector(`td[data-column="${CSS.escape(name)}"]`);
    return cell && cell.dataset.value !== "" ? Number(cell.dataset.value) : null;
  };
  const make = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const short = value => Number(value.toPrecision(3)).toString();

  function draw() {
    const head = heads.find(h => h.dataset.column === quality.value);
    const higher = head.dataset.better === "higher";
    const points = [...table.tBodies[0].rows]
      .filter(row => !row.hidden && (row.className === "codec" || row.className === "baseline"))
      .map(row => ({ name: row.dataset.codec, kind: row.className, x: number(row, axis.value), y: number(row, quality.value) }))
      .filter(point => point.x > 0 && point.y !== null)
      .sort((a, b) => a.x - b.x || (higher ? b.y - a.y : a.y - b.y));
    place.replaceChildren();
    if (!points.length) { place.textContent = "No codec here has both numbers."; return; }
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH });
    const xs = points.map(p => Math.log10(p.x)), ys = points.map(p => p.y);
    const pad = (low, high, share) => { const more = (high - low || Math.abs(high) || 1) * share; return [low - more, high + more]; };
    const [x0, x1] = pad(Math.min(...xs), Math.max(...xs), .06), [y0, y1] = pad(Math.min(...ys), Math.max(...ys), .08);
    const left = value => LEFT + (Math.log10(value) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
    const top = value => HEIGHT - BOTTOM - (value - y0) / (y1 - y0) * (HEIGHT - BOTTOM - TOP);
    for (let step = 0; step <= 4; step++) {
      const y = y0 + (y1 - y0) * step / 4;
      svg.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: top(y), y2: top(y) }));
      svg.append(make("text", { x: LEFT - 8, y: top(y) + 4, "text-anchor": "end" }, short(y)));
      const x = 10 ** (x0 + (x1 - x0) * step / 4);
      svg.append(make("text", { x: left(x), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, short(x)));
    }
    svg.append(make("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, axis.value.replaceAll("_", " ") + ", per second, logarithmic"));
    const named = [];
    let best = null;
    const front = points.filter(p => { const wins = best === null || (higher ? p.y > best : p.y < best); if (wins) best = p.y; return wins; });
    svg.append(make("polyline", { class: "front", points: front.map(p => `${left(p.x)},${top(p.y)}`).join(" ") }));
    for (const point of points) {
      const group = make("g", { class: point.kind, tabindex: "0", "aria-label": `${point.name}: ${short(point.y)} at ${short(point.x)}` });
      group.append(make("title", {}, `${point.name}: ${short(point.y)} at ${short(point.x)}`));
      group.append(make("circle", { cx: left(point.x), cy: top(point.y), r: 5 }));
      svg.append(group);
      const end = left(point.x) > WIDTH * .75, wide = 6.2 * point.name.length;
      const x = left(point.x) + (end ? -8 - wide : 8), y = top(point.y) - 6;
      if (named.some(box => x < box.x + box.wide && box.x < x + wide && Math.abs(box.y - y) < 12)) continue; // its title says it
      named.push({ x, y, wide });
      svg.append(make("text", { class: "name", x, y }, point.name));
    }
    place.append(svg);
    const state = new URLSearchParams(location.hash.slice(1));
    state.set("quality", quality.value); state.set("axis", axis.value);
    history.replaceState(null, "", "#" + state);
  }

  for (const head of heads) if (!axes.includes(head.dataset.column)) quality.append(new Option(head.dataset.column.replaceAll("_", " "), head.dataset.column));
  const state = new URLSearchParams(location.hash.slice(1));
  const wanted = ["stoi", "ued", "probe_label_accuracy"].find(name => heads.some(h => h.dataset.column === name));
  if (wanted) quality.value = wanted;
  if (state.get("quality")) quality.value = state.get("quality");
  if (state.get("axis")) axis.value = state.get("axis");
  if (!quality.value || !axis.value) { place.closest("section").hidden = true; return; }
  for (const field of [quality, axis]) field.addEventListener("input", draw);
  document.addEventListener("filtered", draw);
  draw();
})();
