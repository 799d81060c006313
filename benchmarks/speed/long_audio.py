"""Memory and speed of long sound, and how many codes its windows change.

    python benchmarks/speed/long_audio.py                       # an hour of the bundled corpus
    python benchmarks/speed/long_audio.py --minutes 10 --corpus FOLDER_OR_MANIFEST

The clips of the corpus, one after another and over again, become one file at 48 kHz in stereo,
which each codec encodes and decodes to another file, in a process of its own and in one thread;
real-time factors are by the time of that process.
`rss_mib_encode` and `rss_mib_decode` are the largest resident memory while it did so, beyond what
the process had with its weights loaded; reading, mixing, resampling and writing included.

`changed_codes` is the share of the codes of the first --compared minutes that differ from those of
the same minutes encoded in one piece, `near_seams` the share of these within 0.5 s of a boundary of
windows or pieces; `sound_error` is the largest difference of the sound decoded from the same codes,
as a share of its peak, `sound_snr` the power of the sound by that of the difference, dB.

wavtokenizer-mini has its own weights; those of EnCodec are random, at full width; those of DAC
random in a narrow network, because one thread would take too long otherwise (its memory at full
width is in the row `dac-24k, full width`, a few minutes long). Linux only. Writes long-cpu.csv and
.json; rows of other codecs that an earlier run wrote there stay.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from codec_peers import _draw_codebooks, _randomise_weights
from torch import Tensor, nn

import audiotok
from audiotok import data
from audiotok.codec import Codec, checkpoints
from audiotok.errors import ResultsError
from audiotok.nn.dac import DACConfig, DACNetwork
from audiotok.results import provenance
from audiotok.sound.audio import AudioFile, as_audio, write
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware

RATE = 48_000  # of the file
WHOLE = 1e9  # seconds of a window: the whole sound
FULL_WIDTH_MINUTES = 1.5
NAMES = {  # row: codec, weights
    "wavtokenizer-mini": ("wavtokenizer-mini", None),
    "encodec-24k, random weights": ("encodec-24k:codebooks=8", "encodec"),
    "dac-24k, narrow, random weights": ("dac-24k:codebooks=8", "narrow"),
    "dac-24k, full width, random weights": ("dac-24k:codebooks=8", "wide"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--compared", type=float, default=5.0, help="minutes in one piece as well")
    parser.add_argument("--corpus", default="bundled")
    parser.add_argument("--codecs", nargs="*", default=list(NAMES), help="some of the rows")
    parser.add_argument("--out", type=Path, default=Path("results/long"))
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)  # a row, in its own process
    arguments = parser.parse_args()
    if arguments.one:
        row, folder, minutes, compared = arguments.one
        print(json.dumps(measured(row, Path(folder), float(minutes), float(compared))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        sound(arguments.corpus, arguments.minutes, path / "long.wav")
        rows = []
        for row in arguments.codecs:
            minutes = arguments.minutes
            if "full width" in row:
                minutes = min(minutes, FULL_WIDTH_MINUTES)
                sound(arguments.corpus, minutes, path / "long.wav")
            print(row, flush=True)
            options = [row, folder, str(minutes), str(min(minutes, arguments.compared))]
            command = [sys.executable, __file__, "--one", *options]
            process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(process.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
            write_results(arguments, rows)


def sound(corpus: str, minutes: float, path: Path) -> None:
    """Writes the clips one after another, in stereo: the right channel is the left one, softer."""
    remaining = round(minutes * 60 * RATE)
    clips = data.load(corpus)
    with soundfile.SoundFile(path, "w", RATE, 2, subtype="PCM_16") as file:
        while remaining:
            for clip in clips:
                samples = as_audio(clip.path).to_channels(1).resample(RATE).waveform[0, :remaining]
                file.write(np.stack([samples.numpy(), 0.8 * samples.numpy()], axis=1))
                remaining -= len(samples)


def measured(row: str, folder: Path, minutes: float, compared: float) -> dict:
    """The row of one codec."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore", FutureWarning)
    codec = loaded(row, folder)
    codec.decode(codec.encode((np.zeros(codec.hop_length, np.float32), codec.card.sample_rate_in)))
    before = resident("VmRSS")
    result: dict = {"codec": row, "minutes": minutes, "weights_mib": before}
    reset_peak()
    start = time.process_time()
    tokens = codec.encode(folder / "long.wav")
    result["rtf_encode"] = 60 * minutes / (time.process_time() - start)
    tokens.save(folder / "long.atok")
    result["rss_mib_encode"] = resident("VmHWM") - before
    reset_peak()
    start = time.process_time()
    decoded = codec.decode(tokens)
    result["rtf_decode"] = 60 * minutes / (time.process_time() - start)
    write(folder / "decoded.wav", decoded)
    result["rss_mib_decode"] = resident("VmHWM") - before
    del decoded, tokens
    return (
        result | {"compared_minutes": compared} | comparison(codec, folder / "long.wav", compared)
    )


def resident(field: str) -> float:
    """MiB of memory: VmRSS is the current size, VmHWM the largest since `reset_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise SystemExit("this needs Linux: /proc/self/status does not show the memory in use")


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def comparison(codec: Codec, path: Path, minutes: float) -> dict:
    """The first minutes coded in windows or pieces, compared with one piece."""
    card = codec.card
    waveform = AudioFile(path).converted(1, card.sample_rate_in)
    source = (waveform[0, : round(minutes * 60 * card.sample_rate_in)].clone(), card.sample_rate_in)
    del waveform
    parts = codec.encode(source)
    decoded = codec.decode(parts).waveform
    pieces = codec._encoder_in_pieces() is not None
    step = (codec.piece_seconds if pieces else codec.window_seconds) * card.frame_rate
    codec.window_seconds = WHOLE
    whole = codec.encode(source)
    expected = codec.decode(parts).waveform
    changed = (whole.codes != parts.codes)[0]
    frames = torch.arange(changed.shape[1])
    near = ((frames + step / 2) % step - step / 2).abs() < card.frame_rate / 2
    error = decoded - expected
    return {
        "codes": changed.numel(),
        "changed_codes": float(changed.double().mean()),
        "near_seams": float(changed[:, near].sum() / changed.sum()) if changed.any() else None,
        "sound_error": float(error.abs().max() / expected.abs().max()),
        "sound_snr": 10 * math.log10(expected.square().sum() / error.square().sum())
        if error.any()
        else None,
    }


# --- random weights --------------------------------------------------------------------------


def loaded(row: str, folder: Path) -> Codec:
    name, weights = NAMES[row]
    if weights is None:
        return audiotok.load(name, device="cpu", quiet=True)
    clips = [as_audio(clip.path) for clip in data.load("bundled", limit=8)]
    speech = torch.cat([clip.to_channels(1).resample(24_000).waveform for clip in clips], dim=1)
    with torch.no_grad():
        path = encodec(folder, speech) if weights == "encodec" else dac(folder, speech, weights)
    return audiotok.load(name, checkpoint=path, device="cpu", quiet=True)


def encodec(folder: Path, speech: Tensor) -> Path:
    from encodec import EncodecModel

    model = EncodecModel.encodec_model_24khz(pretrained=False).eval()
    _randomise_weights(model)
    _draw_codebooks(model, speech)
    torch.save(model.state_dict(), folder / "model.th")
    return folder / "model.th"


def dac(folder: Path, speech: Tensor, width: str) -> Path:
    """DAC at 24 kHz with latents that depend on the input; codebooks from latents of speech."""
    narrow = {"num_filters": 8, "dimension": 128, "decoder_channels": 192}
    config = DACConfig(
        sample_rate=24_000, strides=(2, 4, 5, 8), decoder_strides=(8, 5, 4, 2), num_codebooks=32,
        **(narrow if width == "narrow" else {}),
    )  # fmt: skip
    network = DACNetwork(config).eval()
    for layer in network.encoder.modules():
        if isinstance(layer, nn.Conv1d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    network.encoder.layers[0].weight.mul_(10)
    for layer in network.decoder.modules():
        if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            nn.init.normal_(layer.weight, std=0.7 * layer.weight[0].numel() ** -0.5)
    seconds = 4 if width == "wide" else 20
    residual = network.encoder(speech[None, :, : seconds * 24_000])
    for stage in network.quantizer.stages:
        rows = stage.in_proj(residual)[0].T
        chosen = rows[torch.randint(len(rows), (config.codebook_size,))]
        stage.codebook.copy_(chosen + 0.5 * rows.std() * torch.randn_like(chosen))
        residual = 0.9 * residual
    state = network.state_dict()
    metadata = {"family": "dac", "name": "dac-24k", "config": config.model_dump_json()}
    checkpoints.save(folder / "dac.safetensors", state, metadata)
    return folder / "dac.safetensors"


def write_results(arguments: argparse.Namespace, rows: list[dict]) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware("cpu"),
        "file": f"{RATE} Hz, stereo, 16-bit PCM, of {arguments.corpus}",
        "packages": provenance.packages(("torch", "numpy", "encodec", "soundfile")),
        "git": provenance.git(),
        "command": provenance.command(),
    }
    path = arguments.out / "long-cpu.json"
    old_rows = json.loads(path.read_bytes())["rows"] if path.exists() else []
    measured_now = {row["codec"] for row in rows}
    rows = [row for row in old_rows if row["codec"] not in measured_now] + [
        row | {"about": about} for row in rows
    ]
    flat = [{k: v for k, v in row.items() if k != "about"} for row in rows]
    table = pd.DataFrame(flat).assign(hardware=[row["about"]["hardware"] for row in rows])
    record = {"rows": rows}
    with replacing(arguments.out / "long-cpu.csv", ResultsError) as file:
        file.write(table.to_csv(index=False).encode())
    with replacing(arguments.out / "long-cpu.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
