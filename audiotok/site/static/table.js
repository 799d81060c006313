// Sorting and filtering of the table #results; the state is kept in the address.
"use strict";
(() => {
  const table = document.getElementById("results");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const fields = [...document.querySelectorAll(".controls input, .controls select")].filter(f => f.id && !["quality", "axis"].includes(f.id));
  const count = document.getElementById("count");
  let sorted = { column: "", down: false };

  const value = (row, column) => {
    if (column === "codec") return row.dataset.codec.toLowerCase();
    const cell = row.querySelector(`td[data-column="${CSS.escape(column)}"]`);
    const text = cell ? cell.dataset.value : "";
    if (text === "") return null;
    return isNaN(Number(text)) ? text.toLowerCase() : Number(text);
  };

  function sort(column, down) {
    sorted = { column, down };
    const order = rows.map((row, place) => ({ row, place, key: value(row, column) }));
    order.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
      const less = a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
      return (down ? -less : less) || a.place - b.place;
    });
    order.forEach(({ row }) => body.append(row));
    for (const head of table.tHead.rows[0].cells) {
      if (head.dataset.column === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    keep();
  }

  function shows(row) {
    return fields.every(({ id, value: wanted }) => {
      if (!wanted || id === "task") return true;
      if (id === "text") return row.dataset.codec.toLowerCase().includes(wanted.toLowerCase());
      const own = row.dataset[id];
      if (id === "bitrate" || id === "token_rate") return own !== "" && Number(own) <= Number(wanted);
      return own === wanted;
    });
  }

  function filter() {
    rows.forEach(row => { row.hidden = !shows(row); });
    const task = document.getElementById("task");
    if (task) for (const cell of table.querySelectorAll("[data-task]")) {
      const shown = task.value === "" ? "overview" in cell.dataset : task.value === "all" || cell.dataset.task === task.value;
      cell.hidden = !shown;
    }
    count.textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length}`;
    keep();
    document.dispatchEvent(new Event("filtered"));
  }

  function keep() {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) field.value ? state.set(field.id, field.value) : state.delete(field.id);
    if (sorted.column) { state.set("sort", sorted.column); state.set("down", sorted.down ? "1" : "0"); }
    history.replaceState(null, "", "#" + state);
  }

  for (const head of table.tHead.rows[0].cells) {
    head.querySelector("button").addEventListener("click", () => {
      const same = sorted.column === head.dataset.column;
      sort(head.dataset.column, same ? !sorted.down : head.dataset.better === "higher");
    });
  }
  fields.forEach(field => field.addEventListener("input", filter));
  const form = document.getElementById("filters");
  if (form) {
    form.addEventListener("reset", () => setTimeout(filter));
    form.addEventListener("submit", event => event.preventDefault());
  }
  const state = new URLSearchParams(location.hash.slice(1));
  for (const field of fields) if (state.has(field.id)) field.value = state.get(field.id);
  if (state.get("sort")) sort(state.get("sort"), state.get("down") === "1");
  filter();
})();
