"""How tokens show themselves: codes as an array, one line of text, a picture in a notebook."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from audiotok.system import notebook


class Shown:
    """The array, the text and the picture of `Tokens`; a base class of it."""

    codes: torch.Tensor
    codec: str
    fingerprint: str
    num_samples: int
    sample_rate: int
    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    side: torch.Tensor | None
    num_codebooks: int
    num_frames: int
    duration: float
    free_codes: list[torch.Tensor]
    bitrate: float
    file_bitrate: float
    side_bits: int

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """`numpy.asarray(tokens)`: the codes (C, K, T) int64."""
        return np.array(self.codes.numpy(force=True), dtype=dtype, copy=copy)

    def __dlpack__(self, **settings: Any) -> Any:
        """`torch.as_tensor(tokens)`: the codes (C, K, T) int64, which share their memory."""
        return self.codes.__dlpack__(**settings)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.codes.__dlpack_device__()

    def __repr__(self) -> str:
        return (
            f"Tokens({self.codec}: {self.duration:.2f} s, {self.num_frames} frames of "
            f"{self._shape_of_frame}, {self.bitrate:.0f} bit/s)"
        )

    def _repr_html_(self) -> str:
        """A table of what is known of the clip, and a picture of the codes of each channel."""
        pictures = [notebook.picture(channel.numpy(force=True)) for channel in self.codes]
        return notebook.table(self.facts().items()) + "".join(pictures)

    def facts(self) -> dict[str, str]:
        """What is known of the clip, for people: {name: value with its unit}."""
        used = [
            f"{len(codes.unique())} of {size}"
            for codes, size in zip(self.free_codes, self.codebook_sizes, strict=True)
        ]
        facts = {
            "codec": self.codec,
            "fingerprint": self.fingerprint,
            "duration": f"{self.duration:.2f} s ({self.num_samples} samples at "
            f"{self.sample_rate} Hz)",
            "codes": f"{self.num_frames} frames of {self._shape_of_frame}",
            "codes in use": ", ".join(used),
            "bitrate": f"{self.bitrate:.0f} bit/s, {self.file_bitrate:.0f} bit/s as a file",
        }
        if set(self.strides) != {1}:
            facts["strides"] = f"{', '.join(map(str, self.strides))} frames"
        if self.side is not None:
            facts["side information"] = f"{self.side_bits} bits, {tuple(self.side.shape)}"
        return facts

    @property
    def _shape_of_frame(self) -> str:
        sizes = set(self.codebook_sizes)
        size = sizes.pop() if len(sizes) == 1 else ", ".join(map(str, self.codebook_sizes))
        books = f"{self.num_codebooks} codebook{'s' * (self.num_codebooks > 1)} of {size}"
        channels = len(self.codes)
        return books if channels == 1 else f"{books} in {channels} channels"
