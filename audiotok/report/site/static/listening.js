// Players that share one position, spectrograms and codes, and a blind test of two of them.
"use strict";

function paintSpectrogram(canvas, { bands, columns, data }) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  [canvas.width, canvas.height] = [columns, bands];
  const context = canvas.getContext("2d"), image = context.createImageData(columns, bands);
  for (let x = 0; x < columns; x++)
    for (let y = 0; y < bands; y++) {
      const v = bytes[x * bands + y] / 255, at = 4 * ((bands - 1 - y) * columns + x);
      image.data.set([255 * Math.min(1, 1.6 * v), 255 * v * v, 255 * Math.max(0, Math.min(1, 0.15 + v * (1.1 - v))), 255], at);
    }
  context.putImageData(image, 0, 0);
}

function paintCodes(canvas, { rows, sizes }) {
  const columns = Math.max(1, ...rows.map((row) => row.length));
  [canvas.width, canvas.height] = [columns, Math.max(1, rows.length)];
  const context = canvas.getContext("2d");
  rows.forEach((row, y) =>
    row.forEach((code, x) => {
      const share = code / Math.max(1, sizes[y] - 1);
      context.fillStyle = `hsl(${Math.round(300 * share)} 70% ${35 + 35 * ((code * 0.618) % 1)}%)`;
      context.fillRect(x, y, 1, 1);
    }));
}

function signTest(wins, losses) { // two-sided, without ties
  const n = wins + losses, k = Math.max(wins, losses);
  let term = 0.5 ** n, tail = 0;
  for (let i = 0; i <= n; i++) {
    if (i >= k) tail += term;
    term *= (n - i) / (i + 1);
  }
  return Math.min(1, 2 * tail);
}

function button(text, act, attributes = {}) {
  const node = element("button", { type: "button", ...attributes }, ...[text].flat());
  node.addEventListener("click", act);
  return node;
}

document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector("[data-listening]"), clips = window.listening;
  if (!box || !clips) return;
  const names = clips[0].versions.map((version) => version.name);
  const now = state.read();
  const [clipLabel, clipSelect] = choice("Clip", "clip", clips.map((c) => [c.id, c.id]), now.get("clip") || clips[0].id);
  const about = element("p", {}), cards = element("div", { class: "versions" });
  const slider = element("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "Position" });
  const playButton = button("▶ Play", () => player.toggle());
  const blindBox = element("section", {});
  let blind = null, marks = [], buttons = [];

  const player = new Player(() => {
    playButton.textContent = player.playing ? "❚❚ Pause" : "▶ Play";
    buttons.forEach(([number, toggle]) => toggle.setAttribute("aria-pressed", String(number === player.on)));
    cards.childNodes.forEach((card, i) => card.toggleAttribute("data-on", i === player.on));
  });
  const current = () => clips.find((clip) => clip.id === clipSelect.value);

  function show() {
    const clip = current();
    player.load(clip.versions.map((version) => version.file));
    about.textContent = [clip.text, `${clip.seconds.toFixed(1)} s`, clip.licence && `licence: ${clip.licence}`].filter(Boolean).join(" · ");
    marks = [], buttons = [];
    cards.replaceChildren(...clip.versions.map((version, i) => {
      const toggle = button([element("kbd", {}, String(i + 1)), " " + version.name], () => player.choose(i), { "aria-pressed": String(i === 0) });
      buttons.push([i, toggle]);
      const spectrogram = element("canvas", { class: "spectrogram", role: "img", "aria-label": `Spectrogram of ${version.name}` });
      paintSpectrogram(spectrogram, version.spectrogram);
      const track = element("div", { class: "track" }, spectrogram);
      let note = `gain ${version.gain > 0 ? "+" : ""}${version.gain} dB`;
      if (version.codes) {
        const codes = element("canvas", { class: "codes", role: "img", "aria-label": `Codes of ${version.name} over time, a row for each codebook` });
        paintCodes(codes, version.codes);
        track.append(codes);
        note += `, ${version.codes.rows.length} row${version.codes.rows.length > 1 ? "s" : ""} of codes`;
        if (version.codes.step > 1) note += `, every ${version.codes.step}th is drawn`;
      }
      const mark = element("i", {});
      marks.push([mark, clip.seconds]);
      track.append(mark);
      return element("div", { class: "version" }, toggle, " ", element("small", {}, note), track);
    }));
    player.changed();
  }

  function start(first, second) {
    if (first === second) return;
    const order = clips.map((clip) => ({ clip, swapped: Math.random() < 0.5 })).sort(() => Math.random() - 0.5);
    blind = { first, second, order, at: 0, votes: [] };
    cards.hidden = about.hidden = true;
    trial();
  }
  function trial() {
    const { clip, swapped } = blind.order[blind.at];
    const [a, b] = swapped ? [blind.second, blind.first] : [blind.first, blind.second];
    const file = (name) => clip.versions.find((version) => version.name === name).file;
    clipSelect.value = clip.id;
    player.load([file(a), file(b), clip.versions[0].file]);
    buttons = ["A", "B", "R"].map((letter, i) => [i, button([element("kbd", {}, letter), letter === "R" ? " reference" : ""], () => player.choose(i), { "aria-pressed": String(i === 0) })]);
    blindBox.replaceChildren(
      element("h2", {}, `Blind, ${blind.at + 1} of ${blind.order.length}`),
      element("div", { class: "transport" }, ...buttons.map(([, toggle]) => toggle)),
      element("p", {}, "Which is closer to the reference?"),
      element("div", { class: "transport" },
        button([element("kbd", {}, "←"), " A"], () => vote("a")), button([element("kbd", {}, "↓"), " cannot tell"], () => vote("tie")),
        button([element("kbd", {}, "→"), " B"], () => vote("b")), button("Stop", finish)));
    player.changed();
    player.play();
  }
  function vote(answer) {
    const { clip, swapped } = blind.order[blind.at];
    const preferred = answer === "tie" ? "tie" : (answer === "a") !== swapped ? blind.first : blind.second;
    blind.votes.push({ clip: clip.id, a: swapped ? blind.second : blind.first, b: swapped ? blind.first : blind.second, preferred });
    if (++blind.at < blind.order.length) trial();
    else finish();
  }
  function finish() {
    const { first, second, votes } = blind;
    const count = (name) => votes.filter((v) => v.preferred === name).length;
    const p = signTest(count(first), count(second));
    blind = null;
    cards.hidden = about.hidden = false;
    // A name that a spreadsheet would run as a formula gets an apostrophe, as in leaderboard.csv.
    const quote = (text) => `"${String(text).replace(/^(?=[=+\-@\t\r＝＋－＠])/, "'").replace(/"/g, '""')}"`;
    const table = [["clip", "a", "b", "preferred"], ...votes.map((v) => [v.clip, v.a, v.b, v.preferred])].map((row) => row.map(quote).join(",")).join("\n") + "\n";
    const link = element("a", { download: "blind-test.csv", href: URL.createObjectURL(new Blob([table], { type: "text/csv" })) }, "Save the tally (CSV)");
    offer(element("p", { role: "status" }, `${first} ${count(first)}, ${second} ${count(second)}, cannot tell ${count("tie")}; sign test p = ${p.toFixed(3)}. `, link));
    show();
  }
  function offer(result) {
    const pairs = names.map((name) => [name, name]);
    const [aLabel, a] = choice("One", "first", pairs, names[1]), [bLabel, b] = choice("Other", "second", pairs, names[2] || names[0]);
    blindBox.replaceChildren(element("h2", {}, "Blind test"),
      element("p", {}, "Two of them in random order on every clip, without names or pictures. Votes stay on this machine."),
      element("div", { class: "filters" }, aLabel, bLabel, button("Start", () => start(a.value, b.value))), ...[result].filter(Boolean));
  }

  box.replaceChildren(
    element("div", { class: "filters" }, clipLabel), about,
    element("div", { class: "transport" }, playButton, slider),
    element("p", { class: "note" }, "Keys: ", element("kbd", {}, "space"), " plays and pauses, ", element("kbd", {}, "1"), " to ", element("kbd", {}, String(names.length)), " switch; in the blind test ", element("kbd", {}, "A"), " ", element("kbd", {}, "B"), " ", element("kbd", {}, "R"), " switch and the arrows vote."),
    cards, blindBox);
  clipSelect.addEventListener("change", () => (state.set("clip", clipSelect.value), blind ? finish() : show()));
  slider.addEventListener("input", () => player.seek((slider.value / 1000) * current().seconds));
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("select, input, a") || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const votes = { arrowleft: "a", arrowdown: "tie", arrowright: "b" };
    if (key === " " && !event.target.closest("button")) player.toggle();
    else if (blind && "abr".includes(key)) player.choose("abr".indexOf(key));
    else if (blind && votes[key]) vote(votes[key]);
    else if (!blind && key >= "1" && key <= "9") player.choose(+key - 1);
    else return;
    event.preventDefault();
  });
  (function tick() {
    const share = player.position / current().seconds;
    if (document.activeElement !== slider) slider.value = 1000 * share;
    for (const [mark, seconds] of marks) mark.style.left = `${Math.min(100, (100 * player.position) / seconds)}%`;
    requestAnimationFrame(tick);
  })();
  offer();
  show();
});
