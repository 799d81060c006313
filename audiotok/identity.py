"""What tells one codec from another: all that its codes depend on beside the sound and the kind of
device. The fingerprint of a codec says less: which codes mean the same to its decoder."""

from __future__ import annotations

from pathlib import Path

from audiotok import checkpoints, provenance
from audiotok.cache import CODING, code_sha256, digest
from audiotok.codec import Codec

# Packages that networks, resampling and the reading of sound run on.
_PACKAGES = (
    "torch",
    "torchaudio",
    "numpy",
    "scipy",
    "soundfile",
    "soxr",
    "transformers",
    "encodec",
)
# Files that say beside the weights how a network is built.
_BESIDE = ("config.json", "preprocessor_config.json")


def identity(codec: Codec) -> dict[str, str]:
    """Equal identities give equal codes of equal sound, on the same kind of device.

    Returns:
        name: with options.
        fingerprint: of the codebooks.
        weights: sha256 of their file and of the configuration beside it, or, without a file, of
            the numbers of the network; "" where there is none.
        code: sha256 of the source of audiotok and of the file or package the codec is written in.
        packages: name and version of each that matters, as text.
    """
    versions = provenance.packages(_PACKAGES)
    return {
        "name": codec.card.name,
        "fingerprint": codec.fingerprint,
        "weights": _weights(codec),
        "code": code_sha256(type(codec), CODING),
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def _weights(codec: Codec) -> str:
    inner = getattr(codec, "_codec", codec)  # of a codec that hands all work to another
    if inner.checkpoint is None:
        return "" if codec.network is None else checkpoints.network_sha256(codec.network)
    files = [inner.checkpoint, *map(Path(inner.checkpoint).with_name, _BESIDE)]
    return digest([checkpoints.sha256(file) for file in files if file.is_file()])
