"""Golden outputs: stored outputs of a codec for one recording, compared with its outputs now.

A codec that is only compared with itself keeps every promise with a wrong sign or activation in its
network; it does not keep these numbers. They ship in `bundled/golden/NAME.json`. After new weights:

    python -m audiotok.testing.golden wavtokenizer-mini
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

import audiotok
from audiotok import data
from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec
from audiotok.errors import AudiotokError, CodecError
from audiotok.sound.audio import Audio
from audiotok.system.files import replacing

FOLDER = checkpoints.BUNDLED / "golden"
CLIP, START, SECONDS = "slt_3", 0.5, 1.0  # of the bundled corpus
VALUES = 200  # about so many latents and samples are stored
# Of the largest stored value. Machines and versions of PyTorch differ by less than a tenth of it.
TOLERANCE = 1e-4
FRAMES = 0.9  # the share of frames with all codes equal; a tie may fall otherwise elsewhere


@dataclass(frozen=True)
class Comparison:
    """One thing that was compared with a stored or published one.

    Attributes:
        what: what was compared, e.g. "golden codes".
        state: "unavailable" where there is nothing to compare with; that is no success.
        why: what differs, or why it is unavailable; None if equal.
        numbers: measured values by name.
    """

    what: str
    state: Literal["equal", "different", "unavailable"]
    why: str | None = None
    numbers: dict[str, float] = field(default_factory=dict)


def compare(codec: Codec) -> list[Comparison]:
    """The codec's weights, latents, codes and sound against the golden ones of its name."""
    name = codec.card.name
    path = FOLDER / f"{name}.json"
    try:
        golden = json.loads(path.read_text(encoding="utf-8"))
        waveform = _waveform(codec, golden["sound"])
    except FileNotFoundError:
        why = f"none are stored for {name}: only {', '.join(names())} have some"
        return [Comparison("golden outputs", "unavailable", why)]
    except (AudiotokError, OSError) as reason:
        return [Comparison("golden outputs", "unavailable", f"no input: {reason}")]
    comparisons = [_hashes("weights", golden["network_sha256"], _network(codec))]
    if golden["latents"] is not None:
        comparisons.append(_values("golden latents", golden["latents"], _latents(codec, waveform)))
    comparisons.append(_codes(golden["codes"], codec.encode_codes(waveform)[0]))
    return [
        *comparisons,
        _values("golden sound", golden["samples"], _sound(codec, golden["codes"])),
    ]


def names() -> list[str]:
    """The codecs with golden outputs."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def make(codec: Codec) -> dict[str, Any]:
    """The content of the golden file of a codec, from what it makes now."""
    clip = _excerpt()
    waveform = _waveform(codec, None)
    codes = codec.encode_codes(waveform)[0].tolist()
    latents = _latents(codec, waveform)
    return {
        "codec": codec.card.name,
        "network_sha256": _network(codec),
        "sound": {
            "clip": CLIP,
            "start_s": START,
            "seconds": SECONDS,
            "sample_rate": clip.sample_rate,
            "sha256": _sha256(clip),
        },
        "codes": codes,
        "latents": None if latents is None else _thinned(latents),
        "samples": _thinned(_sound(codec, codes)),
        "made_with": {
            "audiotok": audiotok.__version__,
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {codec.device}",
        },
    }


def _excerpt() -> Audio:
    clip = next(clip for clip in data.load("bundled").clips if clip.id == CLIP)
    sound = clip.read()
    first = round(START * sound.sample_rate)
    stop = first + round(SECONDS * sound.sample_rate)
    return Audio(sound.waveform[:, first:stop], sound.sample_rate)


def _sha256(audio: Audio) -> str:
    """Of the samples as 16-bit integers, which the file holds."""
    samples = (audio.waveform * 2**15).round().to(torch.int16)
    return hashlib.sha256(samples.numpy().astype("<i2").tobytes()).hexdigest()


def _waveform(codec: Codec, stored: dict[str, Any] | None) -> Tensor:
    """The input (1, C, L) at the codec's rate; CodecError if it is not the `stored` one."""
    excerpt = _excerpt()
    if stored is not None and _sha256(excerpt) != stored["sha256"]:
        raise CodecError(f"{stored['clip']} of the bundled corpus is another sound here")
    waveform = excerpt.converted(codec.card.channels, codec.card.sample_rate_in)
    return waveform[None].to(codec.device)


def _network(codec: Codec) -> str | None:
    return None if codec.network is None else checkpoints.network_sha256(codec.network)


def _latents(codec: Codec, waveform: Tensor) -> Tensor | None:
    try:
        return codec.encode_latents(waveform).flatten().cpu()
    except CodecError:  # it encodes in one step
        return None


def _sound(codec: Codec, codes: list[list[int]]) -> Tensor:
    return codec.decode_codes(torch.tensor(codes, device=codec.device)[None]).flatten().cpu()


def _thinned(values: Tensor) -> dict[str, Any]:
    """Every n-th value, rounded to a hundredth of the tolerance, and how many there are in all."""
    step = max(1, len(values) // VALUES) | 1  # odd: not always the same channel
    kept = values[::step].double()
    digits = max(0, 6 - int(torch.log10(kept.abs().max().clamp_min(1e-9)).floor()))
    return {
        "count": len(values),
        "step": step,
        "values": [round(value, digits) for value in kept.tolist()],
    }


def _hashes(what: str, golden: str | None, now: str | None) -> Comparison:
    if golden == now:
        return Comparison(what, "equal")
    why = f"sha256 of all numbers {now and now[:12]}…, expected {golden and golden[:12]}…"
    return Comparison(what, "different", why)


def _values(what: str, golden: dict[str, Any], now: Tensor | None) -> Comparison:
    if now is None or len(now) != golden["count"]:
        count = 0 if now is None else len(now)
        return Comparison(what, "different", f"{count} numbers, expected {golden['count']}")
    expected = torch.tensor(golden["values"], dtype=torch.float64)
    peak = float(expected.abs().max())
    error = float((now[:: golden["step"]].double() - expected).abs().max()) / peak
    numbers = {"largest difference / peak": error}
    if error <= TOLERANCE:  # False for NaN
        return Comparison(what, "equal", None, numbers)
    why = f"differs by {error:.2g} of its peak, allowed {TOLERANCE:g}"
    return Comparison(what, "different", why, numbers)


def _codes(golden: list[list[int]], now: Tensor) -> Comparison:
    what, expected = "golden codes", torch.tensor(golden)
    if now.shape != expected.shape:
        shapes = f"shape {tuple(now.shape)}, expected {tuple(expected.shape)}"
        return Comparison(what, "different", shapes)
    share = float((now.cpu() == expected).all(dim=0).double().mean())
    numbers = {"share of frames with equal codes": share}
    if share >= FRAMES:
        return Comparison(what, "equal", None, numbers)
    why = f"{100 * share:.3g} % of the frames have equal codes, expected {100 * FRAMES:g} %"
    return Comparison(what, "different", why, numbers)


def write(name: str, folder: Path = FOLDER) -> Path:
    """Writes the golden file of a codec from what it makes now; returns its path."""
    codec = audiotok.load(name, device="cpu")
    path = folder / f"{codec.card.name}.json"
    text = json.dumps(make(codec), separators=(",", ":")) + "\n"
    with replacing(path, CodecError) as file:
        file.write(text.encode())
    return path


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(write(name))
