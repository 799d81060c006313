"""A page to listen with: what several codecs make of the same clips, side by side.

    audiotok report -t wavtokenizer-mini,opus-6k -n 6 -o listen/      # then open listen/index.html

Every sound of a clip has the loudness (root mean square) of its reference, so that no codec wins by
being louder; what would clip after that makes all sounds of the clip softer. The page keeps the
position when one switches, shows spectrograms and codes over time, and runs a blind comparison.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiotok import audio, data, registry
from audiotok.audio import Audio
from audiotok.errors import AudiotokError, MissingPackageError, ResultsError
from audiotok.files import replacing
from audiotok.results import slug

PAGE = Path(__file__).parent / "site"
MARKER = ".audiotok-listen"
WINDOW, BANDS, LOWEST = 1024, 96, -80.0  # samples; mel bands; dB below the loudest


def report(
    tokenizers: Sequence[str],
    out: str | Path,
    data_name: str | Path = "bundled",
    clips: int = 6,
    note: Callable[[str], None] = lambda text: None,
) -> Path:
    """Writes the page and its sounds into the folder `out`; returns the page.

    Args:
        tokenizers: names of codecs.
        data_name: a corpus as for `bench`; its sounds are copied, mind their licence.
        clips: of the corpus, spread evenly over it.

    Raises:
        ResultsError: `out` holds other things.
    """
    try:
        from matplotlib import image
    except ImportError as error:
        raise MissingPackageError("matplotlib", "train", "spectrograms") from error
    out = Path(out)
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise ResultsError(f"{out} holds other files: name an empty folder for the page")
    codecs = [registry.load(name) for name in tokenizers]
    corpus = data.load(data_name)
    places = sorted({round(p) for p in np.linspace(0, len(corpus) - 1, clips)})
    shutil.rmtree(out, ignore_errors=True)
    (out / "sound").mkdir(parents=True)
    (out / MARKER).touch()
    found = []
    for place in places:
        clip = corpus.clips[place]
        note(clip.id)
        try:
            found.append(_clip(clip, codecs, out, image.imsave))
        except AudiotokError as error:
            note(f"{clip.id} is left out: {error}")
    content = {"data": corpus.name, "licence": corpus.licence, "clips": found,
               "codecs": [codec.card.name for codec in codecs]}  # fmt: skip
    for name in ("style.css", "listen.js"):
        shutil.copy(PAGE / "static" / name, out / name)
    with replacing(out / "index.html", ResultsError) as file:
        file.write(_page(content))
    return out / "index.html"


def _page(content: dict[str, Any]) -> bytes:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PAGE / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script = json.dumps(content).replace("<", "\\u003c")
    return environment.get_template("listen.html").render(**content, script=script).encode()


def _clip(clip: data.Clip, codecs: Sequence[Any], out: Path, draw: Callable) -> dict[str, Any]:
    """The sounds and pictures of a clip, written; what the page needs to know of them."""
    reference = clip.original()
    sounds: list[tuple[str, Audio, np.ndarray | None]] = [("reference", reference, None)]
    for codec in codecs:
        tokens = codec.encode(reference)
        sound = codec.decode(tokens, reference.sample_rate)
        codes = None if codec.card.byte_stream else tokens.codes[0].numpy()
        sizes = np.array(tokens.codebook_sizes)[:, None]
        sounds.append((codec.card.name, sound, None if codes is None else codes / sizes))
    levelled, gains = matched([sound for _, sound, _ in sounds])
    top = max(float(_spectrum(sound).max()) for sound in levelled)
    entries = []
    for (name, _, codes), sound, gain in zip(sounds, levelled, gains, strict=True):
        stem = f"sound/{slug(clip.id)}-{slug(name)}"
        audio.write(out / f"{stem}.wav", sound)
        picture = np.flipud(_spectrum(sound) - top)
        draw(out / f"{stem}.png", picture, cmap="magma", vmin=LOWEST, vmax=0)
        entry = {"name": name, "sound": f"{stem}.wav", "spectrogram": f"{stem}.png",
                 "gain": round(gain, 1), "codes": None}  # fmt: skip
        if codes is not None:
            rows = np.repeat(codes, max(1, 48 // len(codes)), axis=0)
            draw(out / f"{stem}-codes.png", rows, cmap="twilight", vmin=0, vmax=1)
            entry["codes"] = f"{stem}-codes.png"
        entries.append(entry)
    return {"id": clip.id, "text": clip.text or "", "seconds": round(reference.duration, 2),
            "sounds": entries}  # fmt: skip


def matched(sounds: Sequence[Audio]) -> tuple[list[Audio], list[float]]:
    """The sounds with the root mean square of the first, and their gains in dB; all of them softer
    where one would leave [-1, 1]. Silence stays."""
    powers = [float(sound.waveform.double().square().mean()) for sound in sounds]
    factors = [(powers[0] / power) ** 0.5 if power and powers[0] else 1.0 for power in powers]
    peak = max(
        float(sound.waveform.abs().max()) * factor
        for sound, factor in zip(sounds, factors, strict=True)
    )
    factors = [factor / max(1.0, peak) for factor in factors]
    made = [Audio(s.waveform * f, s.sample_rate) for s, f in zip(sounds, factors, strict=True)]
    return made, [20 * np.log10(factor) for factor in factors]


def _spectrum(sound: Audio) -> np.ndarray:
    """Log-mel magnitudes in dB, (BANDS, frames)."""
    from audiotok.metrics._spectra import magnitudes, mel_filters

    samples = sound.to_channels(1).waveform[0].double().numpy()
    filters = mel_filters(sound.sample_rate, WINDOW, BANDS)
    with torch.no_grad():
        blocks = [filters @ block.T for block in magnitudes(samples, WINDOW)]
    return 20 * np.log10(np.maximum(np.concatenate(blocks, axis=1), 1e-6))
