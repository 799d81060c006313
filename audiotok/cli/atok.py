"""The verb show: facts about an .atok file, and a picture of its codes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiotok.cli import streams
from audiotok.cli.options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from audiotok.tokens.tokens import Tokens

_LEVELS = "▁▂▃▄▅▆▇█"
_PLAIN = ".:-=+*#@"  # for a terminal without Unicode


def show(
    source: Annotated[str, typer.Argument(metavar="FILE", help="An .atok file; - for stdin.")],
    as_json: Json = False,
) -> None:
    """Show the codec, the size and the bitrate of an .atok file, and a picture of its codes."""
    from pathlib import Path

    from audiotok.cli import show as printing
    from audiotok.cli.terminal import pairs
    from audiotok.errors import TokensError
    from audiotok.tokens.tokens import Tokens

    if source != streams.STREAM and Path(source).is_dir():
        raise TokensError(f"{source} is a folder: expected one .atok file")
    expected = "an .atok file"
    opened = streams.stdin_as_file(expected) if source == streams.STREAM else nullcontext(source)
    with opened as path, streams.named(path):
        tokens = Tokens.load(path)
    if as_json:
        printing.json(_content(tokens))
        return
    pairs(printing.out, list(tokens.facts().items()))
    printing.out.print()
    _picture(tokens, printing.out)


def _content(tokens: Tokens) -> dict[str, Any]:
    return {
        "codec": str(tokens.codec),
        "fingerprint": tokens.fingerprint,
        "num_samples": tokens.num_samples,
        "sample_rate": tokens.sample_rate,
        "duration": tokens.duration,
        "channels": len(tokens.codes),
        "num_frames": tokens.num_frames,
        "codebook_sizes": tokens.codebook_sizes,
        "strides": tokens.strides,
        "codes_in_use": [len(codes.unique()) for codes in tokens.free_codes],
        "side_bits": tokens.side_bits,
        "bitrate": tokens.bitrate,
        "file_bitrate": tokens.file_bitrate,
    }


def _picture(tokens: Tokens, out: Console) -> None:
    """A row per codebook, a character per frame: its height is the code, equal codes have equal
    colours. As many frames as fit into the width, at most 200."""
    import colorsys

    from rich.text import Text

    from audiotok.system.notebook import hue

    unicode = (out.encoding or "").lower().startswith("utf")
    levels = _LEVELS if unicode else _PLAIN
    label = len(str(tokens.num_codebooks - 1)) + 1
    frames = min(tokens.num_frames, max(1, min(out.width, 200) - label))
    for channel in tokens.codes:
        for k, size in enumerate(tokens.codebook_sizes):
            row = Text(f"{k:>{label - 1}} ")
            for code in channel[k, :frames].tolist():
                red, green, blue = colorsys.hls_to_rgb(hue(code), 0.6, 0.7)
                color = f"rgb({255 * red:.0f},{255 * green:.0f},{255 * blue:.0f})"
                row.append(levels[code * len(levels) // size], color)
            out.print(row)
    seconds = tokens.duration * frames / tokens.num_frames
    out.print(
        f"codebooks {'↓' if unicode else 'down'}, the first {frames} of {tokens.num_frames} frames "
        f"({seconds:.2f} s); a higher mark is a higher code",
        style="dim",
    )
