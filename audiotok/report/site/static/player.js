// Plays versions of one clip: all run together, all but one muted, so that switching is instant.
"use strict";

class Player {
  constructor(changed) {
    this.changed = changed;
    this.sounds = [];
    this.on = 0;
    this.playing = false;
    Player.all.push(this);
  }
  load(files) {
    this.stop();
    this.sounds = files.map((file) => Object.assign(new Audio(file), { preload: "auto" }));
    this.sounds.forEach((sound) => sound.addEventListener("ended", () => sound === this.sound && this.stop()));
    this.on = 0;
    this.changed();
  }
  get sound() { return this.sounds[this.on]; }
  get position() { return this.sound ? this.sound.currentTime : 0; }
  get duration() { return (this.sound && this.sound.duration) || 0; }
  stop() {
    this.sounds.forEach((sound) => sound.pause());
    this.playing = false;
    this.changed();
  }
  play() {
    if (!this.sound) return;
    Player.all.forEach((other) => other !== this && other.playing && other.stop());
    if (this.sound.ended) this.seek(0);
    this.playing = true;
    const at = this.position;
    this.sounds.forEach((sound, number) => {
      sound.muted = number !== this.on;
      if (sound !== this.sound) sound.currentTime = at;
      sound.play().catch((error) => error.name !== "AbortError" && sound === this.sound && this.stop());
    });
    this.changed();
  }
  toggle() { this.playing ? this.stop() : this.play(); }
  seek(seconds) { this.sounds.forEach((sound) => (sound.currentTime = seconds)); }
  choose(number) {
    if (number >= this.sounds.length || number === this.on) return;
    const at = this.position;
    this.on = number;
    if (Math.abs(this.sound.currentTime - at) > 0.05) this.sound.currentTime = at;
    this.sounds.forEach((sound, other) => (sound.muted = other !== number));
    this.changed();
  }
}
Player.all = [];

function makePlayer(box) { // <div data-player> with a button data-play, a range and buttons data-file
  const versions = [...box.querySelectorAll("[data-file]")];
  const play = box.querySelector("[data-play]"), slider = box.querySelector("input");
  const player = new Player(() => {
    play.textContent = player.playing ? "❚❚ Pause" : "▶ Play";
    play.setAttribute("aria-pressed", String(player.playing));
    versions.forEach((toggle, number) => toggle.setAttribute("aria-pressed", String(number === player.on)));
    if (player.playing) requestAnimationFrame(move);
  });
  const move = () => {
    if (document.activeElement !== slider || player.playing) slider.value = 1000 * (player.position / player.duration || 0);
    if (player.playing) requestAnimationFrame(move);
  };
  const loaded = () => player.sounds.length || player.load(versions.map((toggle) => toggle.dataset.file));
  play.addEventListener("click", () => (loaded(), player.toggle()));
  slider.addEventListener("input", () => (loaded(), player.seek((slider.value / 1000) * player.duration)));
  versions.forEach((toggle, number) => toggle.addEventListener("click", () => {
    loaded();
    player.choose(number);
    if (!player.playing) player.play();
  }));
  box.hidden = false;
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-player]").forEach(makePlayer));
