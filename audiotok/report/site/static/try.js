// The page try.html: a sound of the visitor, through a codec of ONNX graphs, in this browser.
(() => {
  "use strict";
  const page = document.querySelector("[data-try]");
  if (!page) return;
  const part = (name) => page.querySelector(`[data-${name}]`);
  const folder = part("status").dataset.folder;
  const seconds = 20; // of a longer sound the first ones are used
  let about = null, sizes = null; // of the codec, from codec.json
  let sessions = null; // of the graphs, once they are needed
  let codes = null; // {data: BigInt64Array of K rows, frames, samples}
  let turn = 0; // a later choice makes earlier work useless

  const say = (text) => { part("status").textContent = text; };

  async function bytes(name) {
    const answer = await fetch(`${folder}${name}.gz`);
    if (!answer.ok) throw new Error(`${name}.gz: ${answer.status}`);
    const content = new Uint8Array(await answer.arrayBuffer());
    if (content[0] !== 0x1f) return content; // the server says that it is packed: it is unpacked now
    const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // The codec and its runtime; once.
  async function load() {
    if (sessions) return sessions;
    about = await (await fetch(`${folder}codec.json`)).json();
    sizes = about.codebook_sizes;
    const wasm = "ort-wasm-simd.wasm";
    const program = new Blob([await bytes(wasm)], { type: "application/wasm" });
    const wasmPaths = { [wasm]: URL.createObjectURL(program) };
    Object.assign(ort.env.wasm, { numThreads: 1, simd: true, proxy: false, wasmPaths });
    const created = {};
    for (const name of ["encoder", "quantizer", "decoder"]) {
      created[name] = await ort.InferenceSession.create(await bytes(`${name}.onnx`));
    }
    return (sessions = created);
  }

  async function run(name, tensor) {
    const session = (await load())[name];
    return (await session.run({ [session.inputNames[0]]: tensor }))[session.outputNames[0]];
  }

  // Mono samples at the codec's rate, at least as many as it needs.
  async function samplesOf(buffer) {
    const context = new OfflineAudioContext(1, 1, about.sample_rate_in);
    const sound = await context.decodeAudioData(buffer); // resamples to the rate of the context
    const length = Math.min(sound.length, seconds * about.sample_rate_in);
    const samples = new Float32Array(Math.max(length, about.min_samples));
    for (let channel = 0; channel < sound.numberOfChannels; channel++) {
      const row = sound.getChannelData(channel);
      for (let i = 0; i < length; i++) samples[i] += row[i] / sound.numberOfChannels;
    }
    return samples;
  }

  function wav(samples, rate) {
    const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
    const text = (at, word) => [...word].forEach((one, i) => view.setUint8(at + i, one.charCodeAt(0)));
    text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
    view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    text(36, "data"); view.setUint32(40, 2 * samples.length, true);
    samples.forEach((value, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true));
    return new Blob([view], { type: "audio/wav" });
  }

  function play(name, samples, rate) {
    const player = part(name);
    if (player.src) URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(wav(samples, rate));
  }

  function draw(count) {
    const canvas = part("codes"), { data, frames } = codes;
    canvas.width = frames; canvas.height = sizes.length;
    const context = canvas.getContext("2d"), image = context.createImageData(frames, sizes.length);
    for (let k = 0; k < sizes.length; k++) {
      for (let t = 0; t < frames; t++) {
        const share = Number(data[k * frames + t]) / (sizes[k] - 1), sent = k < count;
        const colour = sent ? [40 + 200 * share, 90 + 140 * share, 200 - 90 * share] : [128, 128, 128];
        image.data.set([...colour, sent ? 255 : 60], 4 * (k * frames + t));
      }
    }
    context.putImageData(image, 0, 0);
    const rows = Array.from({ length: count }, (_, k) => data.slice(k * frames, k * frames + 12).join(" "));
    part("numbers").textContent = rows.join("\n");
  }

  async function decode() {
    const mine = ++turn, count = Number(part("codebooks").value), { data, frames, samples } = codes;
    const bits = sizes.slice(0, count).reduce((sum, size) => sum + Math.log2(size), 0);
    part("count").textContent = `${count} of ${sizes.length}`;
    part("bitrate").textContent = `${Math.round(bits * about.frame_rate)} bit/s`;
    part("tokens").textContent = String(count * frames);
    part("rate").textContent = String(Math.round(count * about.frame_rate));
    part("factor").textContent = `${Math.round(16 * about.sample_rate_in / (bits * about.frame_rate))} ×`;
    draw(count);
    say("Decoding …");
    const sent = data.map((code, i) => (i < count * frames ? code : -1n));
    const sound = await run("decoder", new ort.Tensor("int64", sent, [1, sizes.length, frames]));
    if (mine !== turn) return;
    play("copy", sound.data.subarray(0, samples), about.sample_rate_out);
    say(`${(samples / about.sample_rate_in).toFixed(1)} seconds, ${count * frames} tokens.`);
    page.dataset.done = `${count}`;
  }

  async function use(buffer) {
    const mine = ++turn;
    delete page.dataset.done;
    try {
      say("Loading the codec …");
      await load();
      say("Reading …");
      const samples = await samplesOf(buffer);
      play("original", samples, about.sample_rate_in);
      say("Encoding …");
      await new Promise((wait) => setTimeout(wait, 30)); // the line above is drawn
      const started = performance.now();
      const latents = await run("encoder", new ort.Tensor("float32", samples, [1, 1, samples.length]));
      const quantized = await run("quantizer", latents);
      if (mine !== turn) return;
      codes = { data: quantized.data, frames: quantized.dims[2], samples: samples.length };
      page.dataset.seconds = ((performance.now() - started) / 1000).toFixed(1);
      window.audiotokCodes = Array.from(quantized.data, Number);
      part("result").hidden = false;
      await decode();
    } catch (reason) {
      const why = location.protocol === "file:" ? "this page needs a web server, such as python -m http.server" : reason.message || reason;
      say(`This did not work: ${why}. A browser of 2023 or newer reads wav, mp3, flac, ogg and m4a.`);
    }
  }

  async function record(button) {
    if (button.recorder) return button.recorder.stop();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const recorder = (button.recorder = new MediaRecorder(stream)), chunks = [];
      recorder.ondataavailable = (event) => chunks.push(event.data);
      recorder.onstop = async () => {
        stream.getTracks().forEach((track) => track.stop());
        button.recorder = null;
        button.textContent = "Record";
        await use(await new Blob(chunks).arrayBuffer());
      };
      recorder.start();
      button.textContent = "Stop";
      say("Recording … at most 20 seconds.");
      setTimeout(() => recorder.state === "recording" && recorder.stop(), seconds * 1000);
    } catch (reason) {
      say(`The microphone cannot be used: ${reason.message || reason}.`);
    }
  }

  part("file").addEventListener("change", async (event) => {
    if (event.target.files[0]) await use(await event.target.files[0].arrayBuffer());
  });
  page.addEventListener("dragover", (event) => event.preventDefault());
  page.addEventListener("drop", async (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) await use(await event.dataTransfer.files[0].arrayBuffer());
  });
  part("record").addEventListener("click", (event) => record(event.target));
  part("codebooks").addEventListener("change", () => codes && decode());
})();
