"""What ResGen needs of a codec: codewords that add up, and standard deviations of residuals.

    python -m audiotok.tts.resgen.codewords lyra-v2 FOLDER_OF_SOUND -o lyra.json

measures the deviations and writes them into a file; those of Lyra v2 and rvq-small ship
(deviations.json).
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from audiotok.codec.codec import Codec
from audiotok.errors import CodecError
from audiotok.kernels import rvq_decode, rvq_encode
from audiotok.sound.audio import Audio, as_audio

SHIPPED = Path(__file__).with_name("deviations.json")


def codewords(codec: Codec, depth: int | None = None) -> Tensor:
    """Codewords (D, V, H) float32 of the first D codebooks, whose sum is what `dequantize` gives.

    They are the codec's own codebooks where those add up; else, where projections follow (Mimi,
    DAC), differences between the vectors of codes.

    Raises:
        CodecError: codebooks of unequal sizes or rates, a codec without latents or with parallel
            codebooks, or fewer codebooks than `depth`.
    """
    card = codec.card
    sizes, strides = card.codebook_sizes[:depth], card.strides[:depth]
    depth = len(sizes) if depth is None else depth
    if len(sizes) < depth or len(set(sizes)) > 1 or set(strides) != {1}:
        raise CodecError(
            f"{card.name} has codebooks of sizes {card.codebook_sizes} and strides {card.strides}: "
            f"ResGen needs {depth} of one size, at the rate of the frames"
        )
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, sizes[0], (1, depth, 50), generator=generator).to(codec.device)
    latents = codec.dequantize(codes)[0].T
    books = codec._codebooks()
    shapes = {tuple(book.shape) for book in (books or [])[:depth]}
    candidates = [torch.stack(books[:depth])] if shapes == {(sizes[0], latents.shape[1])} else []
    for words in (*candidates, *_differences(codec, depth, sizes[0])):
        summed = rvq_decode(codes[0].T.contiguous(), words)
        if torch.allclose(summed, latents, rtol=0, atol=1e-4 * float(latents.abs().max())):
            return words
    raise CodecError(
        f"{card.name}: the codewords of its codebooks do not add up to its latents, as those of "
        "residual codebooks do; ResGen needs an RVQ codec"
    )


def _differences(codec: Codec, depth: int, size: int) -> Iterable[Tensor]:
    """Codewords as the difference that each further code makes; none for codecs that cannot decode
    their first codebooks alone."""
    if not set(range(1, depth + 1)) <= set(codec.card.codebook_counts):
        return
    before: Tensor | float = 0.0
    words = []
    for layer in range(depth):
        codes = torch.zeros(1, layer + 1, size, dtype=torch.int64, device=codec.device)
        codes[:, layer] = torch.arange(size, device=codec.device)
        vectors = codec.dequantize(codes)[0].T
        words.append(vectors - before)
        before = vectors[:1]
    yield torch.stack(words)


@torch.no_grad()
def measure(codec: Codec, sounds: Iterable[Audio | str | Path], depth: int | None = None) -> Tensor:
    """sigma_j (D,): the standard deviation of the residuals at depth j, over frames and dimensions.

    The residuals are the latents of the sounds at j = 0, then the latents minus their first j
    codewords; sigma_j is the root of the mean variance of the dimensions.

    Raises:
        CodecError: as `codewords`; or there is no sound.
    """
    books = codewords(codec, depth)
    rows = []
    for sound in sounds:
        waveform = as_audio(sound).converted(1, codec.card.sample_rate_in).to(codec.device)
        rows.append(codec.encode_latents(waveform[None])[0].T)
    if not rows:
        raise CodecError(f"the deviations of {codec.card.name} need one sound or more, got none")
    residual = torch.cat(rows).to(books)
    codes, sigmas = rvq_encode(residual.contiguous(), books), []
    for layer, book in enumerate(books):
        sigmas.append(residual.double().var(0).mean().sqrt())
        residual = residual - book[codes[:, layer]]
    return torch.stack(sigmas).float()


def deviations(codec: Codec, depth: int, file: str | Path | None = None) -> Tensor:
    """sigma_j (D,), computed by `measure`: from a file, else those that ship.

    Raises:
        CodecError: there are none of this codec, or too few.
    """
    try:
        content = json.loads(Path(file or SHIPPED).read_bytes())
        found = (entry for entry in content if entry["fingerprint"] == codec.fingerprint)
        values = next(found, {}).get("deviations")
        sigmas = None if values is None else torch.tensor(values, dtype=torch.float32)
    except (OSError, ValueError, TypeError, LookupError) as reason:
        raise CodecError(f"{file or SHIPPED} holds no deviations: {reason}") from reason
    if sigmas is None or len(sigmas) < depth or not bool((sigmas > 0).all()):
        raise CodecError(
            f"{file or SHIPPED} has no deviations of {depth} codebooks of {codec.card.name} "
            f"(fingerprint {codec.fingerprint[:12]}): measure them with "
            "`python -m audiotok.tts.resgen.codewords CODEC FOLDER -o FILE`"
        )
    return sigmas[:depth]


def main() -> None:
    """Measures a codec and adds its deviations to a file."""
    from audiotok import data
    from audiotok.codec import registry
    from audiotok.system.files import replacing

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codec")
    parser.add_argument("corpus")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    arguments = parser.parse_args()
    codec = registry.load(arguments.codec, arguments.checkpoint)
    clips = list(itertools.islice(data.load(arguments.corpus), arguments.clips))
    values = measure(codec, (clip.path for clip in clips))
    content = json.loads(arguments.out.read_bytes()) if arguments.out.exists() else []
    content = [entry for entry in content if entry["fingerprint"] != codec.fingerprint]
    content.append({
        "codec": codec.card.name,
        "fingerprint": codec.fingerprint,
        "clips": len(clips),
        "deviations": [round(float(value), 6) for value in values],
    })  # fmt: skip
    with replacing(arguments.out, CodecError) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
