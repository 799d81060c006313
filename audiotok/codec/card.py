"""CodecCard: what is known about a codec before it is loaded.

A card holds data only; what can be computed from it is a property.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from audiotok.codec.licences import restricts
from audiotok.sound.audio import SAMPLE_RATES


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Weights(_Frozen):
    """Where the weights of a codec are: on the Hugging Face Hub, at a plain address, or bundled."""

    repository: str | None = None  # on the Hub
    url: str | None = None  # the folder on the web, where the files are not on the Hub
    file: str | None = None
    beside: tuple[str, ...] = ()  # further files that must lie in the same folder
    beside_sha256: tuple[Sha256, ...] = ()  # of these
    revision: str | None = None
    sha256: Sha256 | None = None
    size: int | None = None  # bytes
    size_about: int | None = None  # bytes, to tell a user what a download takes; not checked
    bundled: str | None = None  # name of the file inside audiotok/bundled/
    given: str = ""  # what a user must give beside these, with --checkpoint, and how to get it


class Taxonomy(_Frozen):
    """The axes of the survey "Discrete Audio Tokens: More Than a Survey!" (arXiv 2506.10274)."""

    encoder_decoder: str  # e.g. "CNN+RNN, Time -> CNN+T, Time-Freq"
    quantization: str  # e.g. "SVQ, Fixed"
    training_paradigm: str  # e.g. "GAN"
    streamability: str  # "yes" or "no"
    domain: str  # e.g. "speech, music, audio"


class CodecCard(_Frozen):
    """What is known about a codec before it is loaded; rates and sizes are derived from it."""

    name: str  # with its options
    options: dict[str, Any] = {}  # parsed from the name, see `variants`
    family: str
    description: str
    kind: Literal["neural", "baseline"] = "neural"
    sample_rate_in: int = Field(ge=SAMPLE_RATES[0], le=SAMPLE_RATES[1])  # Hz
    sample_rate_out: int = Field(ge=SAMPLE_RATES[0], le=SAMPLE_RATES[1])  # Hz
    channels: int = Field(1, ge=1, le=2)
    hop_length: int = Field(ge=1)  # samples at sample_rate_in per frame
    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...] = ()  # frames per code of each codebook; (): 1 for all
    codebook_counts: tuple[
        int, ...
    ] = ()  # numbers of codebooks, from the first on, that can be decoded
    mergeable: bool = False  # its latents can be pooled before the search of any codebook
    max_duration: int = 1  # most units of frames that share codes; more than 1: a variable rate
    merged_codebooks: int = 0  # of these first codebooks; token rate and bitrate are then the most
    needs: str = ""  # for tokens without a decoder, what would be needed to decode them
    byte_stream: bool = False  # codes are bytes, one a frame; the bitrate is measured
    causal: bool = False
    streamable: bool = False
    lookahead: int | None = None  # samples at sample_rate_in; None: all of the sound
    settled_lookahead: int | None = None  # after the first frames, if it is smaller then
    taxonomy: Taxonomy | None = None
    licence_code: str
    licence_weights: str | None = None
    training_data: tuple[str, ...] = ()
    weights: Weights | None = None
    verified: str

    @model_validator(mode="before")
    @classmethod
    def _defaults_by_codebooks(cls, fields: dict) -> dict:
        sizes = fields.get("codebook_sizes", ())
        strides = fields.get("strides") or (1,) * len(sizes)
        return {
            **fields,
            "strides": strides,
            "codebook_counts": fields.get("codebook_counts") or (len(sizes),),
        }

    @model_validator(mode="after")
    def _fits_together(self) -> CodecCard:
        if len(self.strides) != len(self.codebook_sizes):
            raise ValueError(f"{self.name}: strides and codebook_sizes differ in number")
        if self.codebook_counts[-1:] != (self.num_codebooks,) or min(self.codebook_counts) < 1:
            raise ValueError(f"{self.name}: codebook_counts do not end with all codebooks")
        if not self.byte_stream and self.hop_length * self.sample_rate_out % self.sample_rate_in:
            raise ValueError(f"{self.name}: a frame is not a whole number of samples at the output")
        return self

    @model_validator(mode="after")
    def _weights_have_a_place(self) -> CodecCard:
        weights = self.weights
        if weights is None or weights.bundled:
            return self
        if not (weights.file and (weights.repository or weights.url)):
            raise ValueError(f"{self.name}: weights need bundled, or a file and repository or url")
        hashes = (weights.sha256, *weights.beside_sha256)
        if weights.url and (None in hashes or len(hashes) != 1 + len(weights.beside)):
            raise ValueError(f"{self.name}: weights at a url need the sha256 of each file")
        return self

    @property
    def base_name(self) -> str:
        """The name without its options; a prefix as in hf:org/name is part of it."""
        return self.name.rpartition(":")[0] if self.options else self.name

    @property
    def num_codebooks(self) -> int:
        return len(self.codebook_sizes)

    def layout(self, num_codebooks: int | None = None) -> dict[str, Any]:
        """The fields of Tokens that the first codebooks decide, all if None."""
        count = self.num_codebooks if num_codebooks is None else num_codebooks
        return {
            "codebook_sizes": self.codebook_sizes[:count],
            "strides": tuple(map(int, self.strides[:count])),
            "max_duration": self.max_duration,
            "merged_codebooks": min(count, self.merged_codebooks),
            "needs": self.needs,
        }

    @property
    def restricted(self) -> bool:
        """Whether the licence of the weights restricts their use."""
        return restricts(self.licence_weights)

    @property
    def frame_rate(self) -> float | None:
        """Frames per second, Hz; None for a byte stream."""
        return None if self.byte_stream else self.sample_rate_in / self.hop_length

    @property
    def token_rate(self) -> float | None:
        """Tokens per second, all codebooks; None for a byte stream."""
        if self.byte_stream:
            return None
        return sum(self.frame_rate / stride for stride in self.strides)

    @property
    def bitrate(self) -> float | None:
        """Computed bitrate, bit/s; None for a byte stream, whose bitrate is measured.

        Where the frame rate varies, the most that it can be, with durations.
        """
        if self.byte_stream:
            return None
        rates = (self.frame_rate / stride for stride in self.strides)
        bits = sum(r * math.log2(size) for r, size in zip(rates, self.codebook_sizes, strict=True))
        return bits + self.frame_rate / math.lcm(*self.strides) * math.log2(self.max_duration)

    @property
    def algorithmic_latency_ms(self) -> float | None:
        """Hop length plus lookahead, in ms: from a frame's first sample to the last one it needs.

        None if codes need the whole sound, and for a byte stream.
        """
        return self._latency_ms(self.lookahead)

    @property
    def settled_latency_ms(self) -> float | None:
        """The same after the first frames of a sound."""
        settled = self.settled_lookahead
        return self._latency_ms(self.lookahead if settled is None else settled)

    def _latency_ms(self, lookahead: int | None) -> float | None:
        if lookahead is None or self.byte_stream:
            return None
        return 1000 * (self.hop_length + lookahead) / self.sample_rate_in

    @property
    def not_streamable(self) -> str | None:
        """Why it cannot stream, in one line; None if it can."""
        if self.streamable:
            return None
        if self.byte_stream:
            return "its bytes are those of a whole file"
        if self.lookahead is None:
            return "its codes depend on all of the sound"
        if self.causal:
            return "its family has no streaming encoder and decoder"
        return f"it is not causal, codes depend on {self.lookahead} samples past their frame"
