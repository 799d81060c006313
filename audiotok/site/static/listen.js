// Players that keep their position, and a blind comparison whose answers can be exported.
"use strict";
(() => {
  const data = window.LISTEN;
  const clips = [...document.querySelectorAll(".clip")];
  const sounds = clips.map(clip => [...clip.querySelectorAll("audio")]);
  let current = 0, chosen = 0;
  const $ = id => document.getElementById(id);

  function play(clip, sound, from) {
    const before = sounds[current][chosen];
    const position = from !== undefined ? from : clip === current ? before.currentTime : 0;
    sounds.flat().forEach(one => one.pause());
    current = clip; chosen = sound;
    const now = sounds[clip][sound];
    now.currentTime = Math.min(position, Math.max(0, (now.duration || position) - 0.01));
    now.play().catch(() => {});
    mark();
  }

  function mark() {
    clips.forEach((clip, place) => {
      clip.classList.toggle("current", place === current);
      clip.querySelectorAll("button[data-sound]").forEach((button, sound) =>
        button.setAttribute("aria-pressed", String(!trial && place === current && sound === chosen)));
    });
  }

  clips.forEach((clip, place) => clip.querySelectorAll("button[data-sound]").forEach(button =>
    button.addEventListener("click", () => play(place, Number(button.dataset.sound)))));

  // --- blind: which of two is nearer to the reference; A and B are shuffled for every clip
  const answers = [];
  let trial = null, order = [];
  const names = data.clips.length ? data.clips[0].sounds.map(sound => sound.name) : [];
  names.slice(1).forEach((name, place) => [$("one"), $("two")].forEach(field => field.append(new Option(name, place + 1))));
  if (names.length > 2) $("two").value = "2";
  else $("begin").disabled = true;

  function shuffled(list) {
    const made = [...list];
    for (let i = made.length - 1; i > 0; i--) { const j = Math.floor(Math.random() * (i + 1)); [made[i], made[j]] = [made[j], made[i]]; }
    return made;
  }

  function next() {
    if (!order.length) { stop(); return; }
    const pair = [Number($("one").value), Number($("two").value)];
    trial = { clip: order.shift(), pair: Math.random() < .5 ? pair : pair.reverse() };
    $("trial").textContent = `Clip ${data.clips.length - order.length} of ${data.clips.length}: which is nearer to the reference?`;
    current = trial.clip; chosen = 0; mark();
  }

  function begin() {
    if ($("one").value === $("two").value) { $("tally").textContent = "Choose two different codecs."; return; }
    answers.length = 0; order = shuffled(clips.keys());
    $("blind").hidden = false; document.body.classList.add("hidden-names");
    clips.forEach(clip => { clip.hidden = true; });
    $("tally").textContent = ""; next();
  }

  function stop() {
    trial = null; $("blind").hidden = true;
    clips.forEach(clip => { clip.hidden = false; });
    const tally = {};
    answers.forEach(({ nearer }) => { tally[nearer] = (tally[nearer] || 0) + 1; });
    $("tally").textContent = Object.entries(tally).map(([name, count]) => `${name}: ${count}`).join(", ") || "no answers";
    $("export").hidden = !answers.length; mark();
  }

  function choose(which) {
    if (!trial) return;
    const [a, b] = trial.pair.map(sound => names[sound]);
    answers.push({ clip: data.clips[trial.clip].id, a, b, nearer: which === "n" ? "no difference" : which === "a" ? a : b });
    sounds.flat().forEach(one => one.pause());
    next();
  }
  const hear = which => trial && play(trial.clip, which === "r" ? 0 : trial.pair[which === "a" ? 0 : 1]);

  $("begin").addEventListener("click", begin);
  for (const which of ["a", "b", "r"]) $(`hear-${which}`).addEventListener("click", () => hear(which));
  for (const which of ["a", "n", "b"]) $(`choose-${which}`).addEventListener("click", () => choose(which));
  $("export").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify({ data: data.data, answers }, null, 1)], { type: "application/json" }));
    link.download = "listening.json"; link.click();
  });

  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
    const key = event.key.toLowerCase();
    if (trial) {
      if ("abr".includes(key)) hear(key);
      else if (key in { x: 1, c: 1, v: 1 }) choose({ x: "a", c: "n", v: "b" }[key]);
      return;
    }
    if (key === " " && event.target.tagName !== "BUTTON") {
      const now = sounds[current][chosen];
      now.paused ? play(current, chosen) : now.pause();
      event.preventDefault();
    } else if (/^[1-9]$/.test(key) && Number(key) <= sounds[current].length) play(current, Number(key) - 1);
    else if (key === "arrowleft" || key === "arrowright") {
      const to = (current + (key === "arrowright" ? 1 : -1) + clips.length) % clips.length;
      play(to, Math.min(chosen, sounds[to].length - 1), 0);
      clips[to].scrollIntoView({ block: "nearest" });
    }
  });
  mark();
})();
