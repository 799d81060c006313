"""`audiotok report`: a page to listen to codecs side by side, and blind. No server, no network.

It has the reference and every codec's reconstruction of each clip (decoded from re-read token
bytes) as 16-bit WAV files of equal loudness, and draws their spectrograms and codes.
"""

from __future__ import annotations

import base64
import difflib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotok.errors import AudiotokError, MetricError
from audiotok.report.site.pages import Pages
from audiotok.results.results import REFERENCE
from audiotok.system import outputs
from audiotok.system.files import make_folder, replacing
from audiotok.system.names import part, twice

if TYPE_CHECKING:
    from audiotok.codec.codec import Codec
    from audiotok.data import Clip
    from audiotok.sound.audio import Audio

MAX_LOWERING = 12.0  # dB: the level is lowered by at most this much below the reference
BANDS, COLUMNS, RANGE = 80, 480, 80.0  # mel bands and columns of a spectrogram; dB that it shows
FRAMES = 4000  # of codes that are drawn; longer ones are subsampled, and the page says so
MAX_CLIPS = 16  # if the user names no clips
_ABOUT = "about.json"
_SOUNDS = "sounds.json"  # the clips and files of the page, for players on other pages
_FILES = ("site.css", "site.js", "player.js", "listening.js")


@dataclass(frozen=True)
class Version:
    """One sound of a clip: of the reference (`codes` None) or of a codec."""

    name: str
    sound: Audio
    codes: Any = None  # (C, K, T) int64
    sizes: Sequence[int] = ()
    comment: str | None = None  # in its file, e.g. that it is synthetic


def write(
    codecs: Sequence[Codec],
    clips: Sequence[Clip],
    out: str | Path,
    *,
    corpus: str | None = None,
    progress: Callable[[str], None] = lambda text: None,
    overwrite: bool = False,
) -> Path:
    """Writes the page into the folder `out`.

    Args:
        codecs: loaded.
        clips: to listen to; each is read at its own sample rate.
        corpus: name of the corpus of the clips, as for `data.load`; the leaderboard links only to a
            page of bundled clips.
        progress: called with the id of each clip before it is coded.
        overwrite: replace an existing page in `out`.

    Returns:
        The path of index.html.

    Raises:
        AudiotokError: no codec, no clip, two of the same name, or a folder that cannot be written
            or has other files.
    """
    out = Path(out)
    if not codecs or not clips:
        raise AudiotokError("a report needs at least one codec and one clip: name them")
    names = [REFERENCE, *(codec.card.name for codec in codecs)]
    for kind, given in (("codecs", names), ("clips", [clip.id for clip in clips])):
        if duplicates := twice(given):
            raise AudiotokError(f"two {kind} are named {' and '.join(duplicates)}: leave one out")
    check_folder(out, clips, overwrite)
    description = {"corpus": corpus, "codecs": names[1:], "clips": [clip.id for clip in clips]}
    make_folder(out)
    _write(
        out / _ABOUT, json.dumps(description, indent=1).encode()
    )  # first: it marks the folder as ours
    content = []
    for clip in clips:
        progress(clip.id)
        content.append(_clip(_versions(codecs, clip), clip, out))
    return _write_page(out, names[1:], content)


def write_versions(
    clips: Sequence[tuple[Clip, Sequence[Version]]], out: str | Path, *, overwrite: bool = False
) -> Path:
    """Writes a page of given sounds of each clip into the folder `out`, the reference first; all
    clips have versions of the same names.

    Returns:
        The path of index.html.

    Raises:
        AudiotokError: as `write`.
    """
    out = Path(out)
    names = [version.name for version in clips[0][1]]
    if duplicates := twice(names):
        raise AudiotokError(f"two sounds are named {' and '.join(duplicates)}: rename one")
    check_folder(out, [clip for clip, _ in clips], overwrite)
    make_folder(out)
    description = {"corpus": None, "codecs": names[1:], "clips": [clip.id for clip, _ in clips]}
    _write(out / _ABOUT, json.dumps(description, indent=1).encode())
    content = [_clip(versions, clip, out) for clip, versions in clips]
    return _write_page(out, names[1:], content)


def _write_page(out: Path, names: Sequence[str], content: Sequence[dict[str, Any]]) -> Path:
    """Writes all files of a page except its sounds."""
    pages = Pages()
    pages.put("index.html", "listening.html", names=names, inside=_in_site(out))
    files = {name: pages.files[name] for name in _FILES}
    files[_SOUNDS] = json.dumps([_sounds(clip) for clip in content], indent=1).encode()
    files["data.js"] = f"window.listening = {json.dumps(content)};\n".encode()
    files["index.html"] = pages.files["index.html"]
    for name, data in files.items():
        _write(out / name, data)
    return out / "index.html"


def check_folder(out: str | Path, clips: Sequence[Clip], overwrite: bool = False) -> None:
    """Raises AudiotokError if a page in the folder `out` would replace other files.

    Args:
        clips: to listen to; their files are never replaced.
        overwrite: replace an existing page, but no other file.
    """
    folder = outputs.folder(out, "the files of a page")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not _is_page(folder):
        raise AudiotokError(f"{out} holds other files than a page of ours: name a new folder")
    if not overwrite:
        raise AudiotokError(f"{out} holds a page already: name another, or give --overwrite")
    sounds = [file for clip in clips for file in _folder_of(out, clip).glob("*.wav")]
    outputs.check(sounds, [path for clip in clips for path in _paths(clip)], overwrite)


def _is_page(folder: Path) -> bool:
    try:
        description = json.loads((folder / _ABOUT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(description, dict) and description.keys() == {"corpus", "codecs", "clips"}


def _folder_of(out: str | Path, clip: Clip) -> Path:
    return Path(out) / "sounds" / part(clip.id)


def _paths(clip: Clip) -> list[Path]:
    return [path for path in (clip.path, clip.reference) if path is not None]


def _write(path: Path, data: bytes) -> None:
    with replacing(path, AudiotokError) as file:
        file.write(data)


def choose(clips: Sequence[Clip], ids: Sequence[str] | None = None) -> list[Clip]:
    """The clips with these ids; without ids, the first of each speaker and all without a speaker,
    at most MAX_CLIPS.

    Raises AudiotokError for an unknown id.
    """
    if ids is not None:
        by_id = {clip.id: clip for clip in clips}
        if missing := [name for name in ids if name not in by_id]:
            similar = (
                difflib.get_close_matches(missing[0], by_id, n=3, cutoff=0.3) or list(by_id)[:3]
            )
            raise AudiotokError(f"there is no clip {missing[0]}: there are {', '.join(similar)}")
        return [by_id[name] for name in ids]
    speakers: set[str] = set()
    chosen = []
    for clip in clips:
        if clip.speaker is None or clip.speaker not in speakers:
            chosen.append(clip)
            speakers |= {clip.speaker} if clip.speaker else set()
    return chosen[:MAX_CLIPS]


def gains(levels: Sequence[float]) -> list[float]:
    """Gains in dB that make all sounds as loud as the softest one.

    Args:
        levels: in dB (LUFS, or of the power); the reference first. -inf for silence, which gets no
            gain.
    """
    finite = [level for level in levels if math.isfinite(level)]
    if not finite:
        return [0.0] * len(levels)
    target = min(finite)
    if math.isfinite(levels[0]):
        target = max(target, levels[0] - MAX_LOWERING)
    return [target - level if math.isfinite(level) else 0.0 for level in levels]


def limited_gains(gains: Sequence[float], peaks: Sequence[float]) -> list[float]:
    """Gains in dB, reduced so that no sound exceeds full scale.

    A positive gain is reduced for its sound alone; if a sound exceeds full scale without one, the
    gains of all sounds are reduced equally.

    Args:
        peaks: largest absolute sample of each sound.
    """
    headroom = [-20 * math.log10(peak) if peak > 0 else math.inf for peak in peaks]
    lifted = [min(gain, max(max_gain, 0.0)) for gain, max_gain in zip(gains, headroom, strict=True)]
    excess = max(gain - max_gain for gain, max_gain in zip(lifted, headroom, strict=True))
    return [gain - max(excess, 0.0) for gain in lifted]


def levels(sounds: Sequence[Audio]) -> list[float]:
    """The loudness of each sound by ITU-R BS.1770, LUFS; if one has none, the power of all, dB."""
    from audiotok.metrics.loudness import loudness
    from audiotok.sound.audio import Audio

    def loudness_of(sound: Audio) -> float:
        # The filters clamp at full scale, which a loud sound may exceed after the first of them.
        factor = min(1.0, 0.25 / (float(sound.waveform.abs().max()) or 1.0))
        scaled = Audio(sound.waveform * factor, sound.sample_rate)
        return loudness(scaled, "sound") - 20 * math.log10(factor)

    try:
        return [loudness_of(sound) for sound in sounds]
    except MetricError:
        powers = [float(sound.waveform.double().square().mean()) for sound in sounds]
        return [10 * math.log10(power) if power > 0 else -math.inf for power in powers]


def spectrogram(sound: Audio) -> dict[str, Any]:
    """Power in mel bands as bytes: 0 is RANGE dB or more below the loudest, 255 the loudest.

    Windows of 32 ms (Hann); at most COLUMNS of them, evenly spaced, at least 8 ms apart.
    """
    import torch

    from audiotok.nn.mel import mel_filters

    rate, wave = sound.sample_rate, sound.waveform.mean(0)
    size = max(64, round(0.032 * rate))
    points = max(size, 2048)
    hop = max(1, round(0.008 * rate), math.ceil(len(wave) / COLUMNS))
    wave = torch.nn.functional.pad(wave, (points // 2, points // 2))
    window = torch.hann_window(size)
    spectrum = torch.stft(wave, points, hop, size, window, center=False, return_complex=True)
    power = spectrum.abs().square()
    bank = mel_filters(len(power), rate, BANDS)
    decibels = 10 * torch.log10((bank @ power).clamp(min=1e-12))
    scaled = ((decibels - decibels.max()) / RANGE + 1).clamp(0, 1) * 255
    data = scaled.round().to(torch.uint8).T.contiguous().numpy().tobytes()
    return {
        "bands": BANDS,
        "columns": scaled.shape[1],
        "data": base64.b64encode(data).decode(),
    }


def _versions(codecs: Sequence[Codec], clip: Clip) -> list[Version]:
    """The reference and each codec's reconstruction."""
    from audiotok.tokens.tokens import Tokens

    original = clip.original()
    versions = [Version(REFERENCE, original)]
    for codec in codecs:
        tokens = Tokens.from_bytes(codec.encode(original).to_bytes())
        sound = codec.decode(tokens, original.sample_rate)
        versions.append(Version(codec.card.name, sound, tokens.codes, codec.card.codebook_sizes))
    return versions


def _clip(versions: Sequence[Version], clip: Clip, out: Path) -> dict[str, Any]:
    """Writes the sounds of one clip; returns the data that the page shows of it."""
    from audiotok.sound.audio import Audio
    from audiotok.sound.audio import write as write_audio

    sounds = [version.sound for version in versions]
    applied = limited_gains(
        gains(levels(sounds)), [float(sound.waveform.abs().max()) for sound in sounds]
    )
    folder = _folder_of(out, clip)
    make_folder(folder)
    entries = []
    for number, (version, gain) in enumerate(zip(versions, applied, strict=True)):
        path = folder / f"{number}.wav"
        waveform = version.sound.waveform * 10 ** (gain / 20)
        sound = Audio(waveform.clamp(-1, 1), version.sound.sample_rate)
        write_audio(path, sound, "PCM_16", comment=version.comment)
        entries.append({
            "name": version.name, "file": path.relative_to(out).as_posix(), "gain": round(gain, 2),
            "spectrogram": spectrogram(version.sound), "codes": _codes(version),
        })  # fmt: skip
    description = {"id": clip.id, "text": clip.text, "licence": clip.licence}
    return description | {"seconds": sounds[0].duration, "versions": entries}


def _sounds(clip: dict[str, Any]) -> dict[str, Any]:
    """The data that another page needs to play a clip."""
    files = {version["name"]: version["file"] for version in clip["versions"]}
    return {key: clip[key] for key in ("id", "text", "seconds")} | {"files": files}


def _codes(version: Version) -> dict[str, Any] | None:
    """Codes as rows: all codebooks of the first channel, then of the next."""
    if version.codes is None:
        return None
    channels, codebooks, frames = version.codes.shape
    step = math.ceil(frames / FRAMES) or 1
    rows = version.codes[:, :, ::step].reshape(channels * codebooks, -1)
    return {"sizes": list(version.sizes) * channels, "step": step, "rows": rows.tolist()}


def _in_site(out: Path) -> bool:
    """Whether the page is in the folder of a leaderboard, to which it then links back."""
    return (out.parent / "index.html").is_file() and (out.parent / "site.css").is_file()
