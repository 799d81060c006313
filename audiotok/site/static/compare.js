// Two codecs of window.AUDIOTOK: differences of means with intervals, and clip by clip.
"use strict";
(() => {
  const data = window.AUDIOTOK;
  const [a, b, metric] = ["a", "b", "metric"].map(id => document.getElementById(id));
  const rows = id => document.querySelector(`#${id} tbody`);
  const make = (name, text) => { const made = document.createElement(name); made.textContent = text; return made; };
  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const names = Object.keys(data.metrics);
  if (data.codecs.length < 2 || !names.length) {
    document.querySelector(".controls").textContent = "Fewer than two codecs have numbers for the same clips here.";
    return;
  }

  function pair(name, one, other) {
    const found = data.metrics[name].pairs;
    return one < other ? found[`${one},${other}`] : found[`${other},${one}`].map(x => -x).reverse();
  }

  function draw() {
    const one = Number(a.value), other = Number(b.value);
    rows("differences").replaceChildren();
    for (const name of one === other ? [] : names) {
      const { label, arrow, digits, better } = data.columns[name];
      const means = data.metrics[name].means, [low, high] = pair(name, one, other);
      const row = document.createElement("tr");
      const head = make("th", `${label} ${arrow}`); head.scope = "row";
      const wins = low <= 0 && high >= 0 ? "tie" : (low > 0) === (better === "higher") ? data.codecs[one] : data.codecs[other];
      const difference = means[one] - means[other];
      const sign = x => (x >= 0 ? "+" : "−") + Math.abs(x).toFixed(digits);
      row.append(head, make("td", means[one].toFixed(digits)), make("td", means[other].toFixed(digits)),
        make("td", `${sign(difference)}  [${sign(low)}, ${sign(high)}]`), make("td", wins));
      rows("differences").append(row);
    }
    clips(one, other, metric.value);
    const state = new URLSearchParams({ a: data.codecs[one], b: data.codecs[other], metric: metric.value });
    history.replaceState(null, "", "#" + state);
  }

  function clips(one, other, name) {
    const [first, second] = [data.clips[name][one], data.clips[name][other]], { digits } = data.columns[name];
    const found = Object.keys(first).filter(clip => first[clip] !== null && second[clip] != null)
      .map(clip => ({ clip, one: first[clip], other: second[clip], by: first[clip] - second[clip] }))
      .sort((x, y) => x.by - y.by);
    rows("clips").replaceChildren();
    for (const { clip, one: x, other: y, by } of found) {
      const row = document.createElement("tr"), head = make("th", clip);
      head.scope = "row";
      row.append(head, ...[x, y, by].map(value => make("td", value.toFixed(digits))));
      rows("clips").append(row);
    }
    const most = Math.max(...found.map(({ by }) => Math.abs(by)), 1e-9), WIDTH = 760, HEIGHT = 120;
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH });
    picture.append(svg("line", { class: "zero", x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }));
    found.forEach(({ clip, by }, place) => {
      const dot = svg("circle", { class: "codec", r: 4, cx: 10 + (WIDTH - 20) * place / Math.max(1, found.length - 1), cy: HEIGHT / 2 - by / most * (HEIGHT / 2 - 8) });
      const title = svg("title", {}); title.textContent = `${clip}: ${by.toFixed(digits)}`;
      dot.append(title); picture.append(dot);
    });
    document.getElementById("dots").replaceChildren(picture);
  }

  data.codecs.forEach((name, place) => { a.append(new Option(name, place)); b.append(new Option(name, place)); });
  names.forEach(name => metric.append(new Option(data.columns[name].label, name)));
  const state = new URLSearchParams(location.hash.slice(1));
  const place = (key, otherwise) => Math.max(data.codecs.indexOf(state.get(key)), -1) >= 0 ? data.codecs.indexOf(state.get(key)) : otherwise;
  a.value = place("a", 0); b.value = place("b", 1);
  if (names.includes(state.get("metric"))) metric.value = state.get("metric");
  [a, b, metric].forEach(field => field.addEventListener("input", draw));
  draw();
})();
