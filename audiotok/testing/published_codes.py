"""Codes that others published of real checkpoints (results/published/codes.yaml) beside ours.

Their sounds are a computed sine or a clip of LibriSpeech. Where the clip or a figure cannot be had,
the comparison is unavailable, never equal.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from audiotok import data
from audiotok.codec.codec import Codec
from audiotok.data import librispeech
from audiotok.errors import AudiotokError, CorpusError
from audiotok.sound.audio import Audio
from audiotok.system import assets, yaml_files
from audiotok.testing.golden import Comparison

WHAT = "published codes"


def compare(codec: Codec, fetch: bool = False) -> Comparison:
    """The codec's codes against the published ones of its name.

    Args:
        fetch: whether a corpus that is not on this machine is downloaded (0.3 GB).
    """
    tables, name = _tables(), codec.card.name
    entry = tables["codes"].get(name)
    if entry is None:
        why = tables["missing"].get(name, f"none are known of {name}")
        return Comparison(WHAT, "unavailable", why)
    source = tables["sources"][entry["source"]]
    origin = f"{source['link']}, {source['file']}, commit {source['commit'][:12]}"
    try:
        sound = _sound(tables["sounds"][entry["sound"]], fetch)
    except (AudiotokError, OSError) as reason:
        return Comparison(WHAT, "unavailable", f"{reason} (figures of {origin})")
    expected = torch.tensor(entry["codes"])
    found = codec.encode(sound).codes[0].cpu()[: expected.shape[0], : expected.shape[1]]
    if found.shape != expected.shape:
        shapes = f"shape {tuple(found.shape)}, published {tuple(expected.shape)}"
        return Comparison(WHAT, "different", f"{shapes} ({origin})")
    share = float((found[0] == expected[0]).double().mean())
    numbers = {
        "share of equal codes, first codebook": share,
        "share of equal codes, all": float((found == expected).double().mean()),
    }
    if share >= entry["least"]:
        return Comparison(WHAT, "equal", None, numbers)
    why = f"{100 * share:.3g} % of the codes are equal, expected {100 * entry['least']:g} %"
    return Comparison(WHAT, "different", f"{why} ({origin})", numbers)


def _tables() -> dict[str, Any]:
    path = assets.folder("results/published") / "codes.yaml"
    return yaml_files.parse(path.read_text(encoding="utf-8"))


def _sound(about: dict[str, Any], fetch: bool) -> Audio:
    """The sound of an entry; CorpusError if it is not on this machine, or another one."""
    if "frequency" in about:
        time = torch.arange(round(about["seconds"] * about["sample_rate"])) / about["sample_rate"]
        wave = about["amplitude"] * torch.sin(2 * math.pi * about["frequency"] * time)
        return Audio(wave[None], about["sample_rate"])
    corpus, name = about["corpus"], about["clip"]
    if not fetch and not librispeech.place(corpus).is_dir():
        raise CorpusError(
            f"their sound is {name} of {corpus}, which is not on this machine: --published "
            "downloads it"
        )
    clips = [clip for clip in data.load(corpus).clips if clip.id.endswith(name)]
    sound = clips[0].read() if clips else None
    if sound is None or sound.num_samples != about["num_samples"]:
        raise CorpusError(
            f"{corpus} on this machine has no {name} of {about['num_samples']} samples"
        )
    return sound
