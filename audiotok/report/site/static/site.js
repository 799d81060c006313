// Sorts and filters tables, and keeps both behind the # of the address.
"use strict";

const state = {
  read() {
    const hash = location.hash.slice(1);
    return new URLSearchParams(hash.includes("=") ? hash : "");
  },
  set(key, value) {
    const all = state.read();
    if (value) all.set(key, value);
    else all.delete(key);
    const text = all.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  },
};

function sortTable(table, column, direction) { // no direction: the order of the page
  const heads = [...table.tHead.rows[0].cells];
  const index = heads.findIndex((head) => head.dataset.col === column);
  if (index < 0) return;
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  if (direction) heads[index].setAttribute("aria-sort", direction === "desc" ? "descending" : "ascending");
  table.classList.toggle("sorted", Boolean(direction)); // hides the heads of bands
  const sign = direction === "desc" ? -1 : 1;
  for (const body of table.tBodies) {
    body.original ??= [...body.rows];
    const rows = body.original.filter((row) => !row.classList.contains("head"));
    const value = (row) => row.cells[index] && row.cells[index].dataset.v;
    rows.sort((one, two) => {
      const a = value(one), b = value(two);
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      const numeric = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
      return sign * (numeric ? a - b : a.localeCompare(b, "en"));
    });
    body.append(...(direction ? rows : body.original));
  }
}

function makeSortable(table) {
  const first = table.tBodies[0].rows[0];
  for (const head of table.tHead.rows[0].cells) {
    const below = first && first.cells[head.cellIndex];
    if (below && below.classList.contains("text")) head.classList.add("text");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const column = head.dataset.col;
      const order = button.textContent.includes("↑") ? ["desc", "asc", ""] : ["asc", "desc", ""];
      const now = { ascending: "asc", descending: "desc" }[head.getAttribute("aria-sort")];
      const direction = order[(order.indexOf(now) + 1) % 3]; // best first, worst first, as it was
      sortTable(table, column, direction);
      state.set("sort." + table.id, direction && column + "." + direction);
    });
  }
}

function rowsBelow(head) { // of a band up to the next head, of a section up to the next section
  const below = [], level = +(head.dataset.level || 1);
  const rows = head.parentNode.original || [...head.parentNode.rows]; // as they were before sorting
  for (const row of rows.slice(rows.indexOf(head) + 1)) {
    if (!row.classList.contains("head")) below.push(row);
    else if (+(row.dataset.level || 1) <= level) break;
  }
  return below;
}

function applyFilters(form) {
  const wanted = Object.fromEntries(new FormData(form));
  const text = (wanted.text || "").toLowerCase();
  document.body.classList.toggle("details", wanted.details === "yes");
  const names = new Set(), all = new Set();
  for (const row of document.querySelectorAll("tr[data-row]")) {
    const facts = row.dataset;
    const published = "published" in facts;
    let shown = facts.text.toLowerCase().includes(text) && (!published || Boolean(wanted.published));
    for (const key of ["rate", "domain", "licence", "streamable", "quantizer"])
      if (wanted[key]) shown = shown && facts[key] === wanted[key];
    const outside = (value, low, high) =>
      (low && !(value >= +low)) || (high && !(value <= +high));
    const number = (value) => (value === "" || value === undefined ? NaN : +value);
    if (outside(number(facts.bitrate) / 1000, wanted.bitrate_min, wanted.bitrate_max)) shown = false;
    if (outside(number(facts.tokens), "", wanted.tokens_max)) shown = false;
    row.hidden = !shown;
    if (!published || wanted.published) all.add(facts.text);
    if (shown) names.add(facts.text);
  }
  for (const head of document.querySelectorAll("tr.head")) head.hidden = !rowsBelow(head).some((row) => !row.hidden);
  form.querySelector("output").textContent = `${names.size} of ${all.size} shown`;
}

function makeFilters(form) {
  form.hidden = false;
  const start = state.read();
  for (const field of form.elements) {
    if (!field.name || !start.has(field.name)) continue;
    if (field.type === "checkbox") field.checked = true;
    else field.value = start.get(field.name);
  }
  const keep = () => {
    for (const field of form.elements)
      if (field.name)
        state.set(field.name, field.type === "checkbox" && !field.checked ? "" : field.value);
    applyFilters(form);
  };
  form.addEventListener("input", keep);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(keep));
  applyFilters(form);
}

function makeChart(box) { // one figure at a time
  const tabs = [...box.querySelectorAll("[data-show]")], figures = [...box.querySelectorAll("[data-figure]")];
  const show = (key) => {
    tabs.forEach((tab) => tab.setAttribute("aria-pressed", String(tab.dataset.show === key)));
    figures.forEach((figure) => (figure.hidden = figure.dataset.figure !== key));
  };
  tabs.forEach((tab) => tab.addEventListener("click", () => (show(tab.dataset.show), state.set("chart", tab.dataset.show))));
  box.querySelector(".tabs").hidden = tabs.length < 2;
  const wanted = state.read().get("chart");
  show(tabs.some((tab) => tab.dataset.show === wanted) ? wanted : tabs[0].dataset.show);
}

function element(name, attributes, ...children) {
  const svg = ["svg", "g", "line", "circle", "path", "polyline", "text", "title"];
  const node = svg.includes(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function choice(label, name, options, value) {
  const select = element("select", { name });
  for (const [key, text] of options) select.append(element("option", { value: key }, text));
  if (options.some(([key]) => key === value)) select.value = value;
  return [element("label", {}, label + " ", select), select];
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table[data-table]").forEach(makeSortable);
  document.querySelectorAll("form[data-filters]").forEach(makeFilters);
  document.querySelectorAll("[data-chart]").forEach(makeChart);
  for (const [key, value] of state.read()) {
    const table = key.startsWith("sort.") && document.getElementById(key.slice(5));
    const cut = value.lastIndexOf(".");
    if (table && table.tHead) sortTable(table, value.slice(0, cut), value.slice(cut + 1));
  }
});
