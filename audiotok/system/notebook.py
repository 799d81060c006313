"""HTML views of objects in a notebook: self-contained, escaped and small.

A player holds at most MAX_VALUES samples, a picture at most MAX_FRAMES frames, a table at most
MAX_ROWS rows. Text below it says what was left out.
"""

from __future__ import annotations

import base64
import html
import io
import struct
import sys
import wave
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MAX_VALUES = 2**20  # samples of all channels: 2 MiB, 43 s at 24 kHz
MAX_FRAMES = 512
MAX_ROWS = 200
MAX_TEXT = 300  # characters of a cell


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook, where HTML is shown."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def text(value: object) -> str:
    """A value as escaped text, shortened to MAX_TEXT characters."""
    shown = str(value).encode(errors="backslashreplace").decode()
    return html.escape(shown if len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 1] + "…")


def table(rows: Iterable[Sequence[object]], heads: Sequence[str] = ()) -> str:
    """An HTML table. Without heads, the first cell of each row is its head."""
    rows = list(rows)
    head = "".join(f"<th>{text(name)}</th>" for name in heads)
    parts = [f"<table><thead><tr>{head}</tr></thead><tbody>" if heads else "<table><tbody>"]
    for first, *others in rows[:MAX_ROWS]:
        kind = "td" if heads else "th"
        cells = "".join(f"<td>{text(cell)}</td>" for cell in others)
        parts.append(f'<tr><{kind} style="text-align:left">{text(first)}</{kind}>{cells}</tr>')
    more = f"<p>{len(rows) - MAX_ROWS} more rows</p>" if len(rows) > MAX_ROWS else ""
    return "".join([*parts, "</tbody></table>", more])


def player(waveform: np.ndarray, sample_rate: int) -> str:
    """An HTML player of a waveform (C, L) float32, as 16-bit WAV.

    Of a long sound it has the beginning, and the text says so.
    """
    channels, length = waveform.shape
    kept = min(length, MAX_VALUES // channels)
    samples = (waveform[:, :kept].clip(-1, 1) * 32767).round().astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.T.tobytes())
    note = ""
    if kept < length:
        seconds, whole = kept / sample_rate, length / sample_rate
        note = f"<p>the first {seconds:.1f} of {whole:.1f} s; save(path) writes all of it</p>"
    return f'<audio controls src="{_address("audio/wav", buffer.getvalue())}"></audio>{note}'


def picture(codes: np.ndarray) -> str:
    """A picture of codes (K, T): one row per codebook, one column per frame. Equal codes of a
    codebook have equal colours. Of a long clip it has the first MAX_FRAMES frames."""
    import numpy as np

    count, frames = codes.shape
    kept = codes[:, :MAX_FRAMES]
    turns = hue(kept)[..., None] + np.arange(3) / 3  # red, green and blue are a third apart
    pixels = (140 + 100 * np.cos(2 * np.pi * turns)).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # each row has filter type 0
    width, height = kept.shape[1], count
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8-bit RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)
    style = (
        f"image-rendering:pixelated;width:{max(64, min(768, 8 * width))}px;"
        f"height:{min(512, 12 * height)}px"
    )
    note = f"<p>the first {width} of {frames} frames</p>" if width < frames else ""
    alt = f"codes: {count} codebooks, {width} frames"
    return f'<img alt="{alt}" style="{style}" src="{_address("image/png", data)}">{note}'


def hue(codes: np.ndarray) -> np.ndarray:
    """A hue in [0, 1) for each code; those of neighbouring numbers differ clearly."""
    return codes * 0.6180339887498949 % 1.0  # multiples of the golden ratio


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
