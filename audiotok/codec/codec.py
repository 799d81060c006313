"""Codec, the base class: what every codec promises.

A family defines CARDS, `_load`, the methods at the top of `tensor_level.py` and, for explicit
codebooks, `_codebooks`. This class does the rest for all families: checks, resampling, channels,
eval mode, batches, long audio in windows, exact output length, code range, fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, overload

import torch

from audiotok.codec import batches
from audiotok.codec.acceptance import check_decodable, no_decoder
from audiotok.codec.batched_streams import BatchedStreams
from audiotok.codec.batches import Batch, LongClip, Prepared, map_groups, padded, prepare, split
from audiotok.codec.card import CodecCard, Taxonomy, Weights
from audiotok.codec.inference import LOADING, inference
from audiotok.codec.merged import search_of, shares
from audiotok.codec.portable import Portable
from audiotok.codec.streaming import Stream
from audiotok.codec.tensor_level import TensorLevel
from audiotok.codec.windows import Windowed
from audiotok.errors import AudioError, CodecError
from audiotok.sound.audio import Audio, AudioFile, Source, as_audio, check_sample_rate
from audiotok.sound.resampling import resampled_length
from audiotok.system.defaults import pytorch_defaults
from audiotok.system.memory import free_memory
from audiotok.tokens.tokens import Tokens

__all__ = ["Codec", "CodecCard", "Taxonomy", "Weights"]
log = logging.getLogger("audiotok")


class Codec(Portable, TensorLevel, Windowed, ABC):
    """A pair of encode and decode with its quantizer.

    Args:
        card: one of CARDS, its name with options where it has any.
        device: "cpu", "cuda", "cuda:1", ...
        checkpoint: file of weights, handed to `_load`.
        random_weights: random weights from `_random_network` instead of those of a file.

    Sound longer than `window_seconds` is coded in bounded memory: chunk by chunk where the network
    keeps a state, else in windows that overlap by `context_seconds` on each side. Codes and
    samples near window edges differ from the whole sound's if the receptive field is larger.
    """

    CARDS: ClassVar[tuple[CodecCard, ...]] = ()
    DEFAULT: ClassVar[str | None] = None  # the card that the bare name of the family stands for
    OPTIONS: ClassVar[dict[str, Callable]] = {}  # beside those of `variants.common`
    PREFIX: ClassVar[str | None] = None  # of names that `card_named` knows: "hf:"
    EXTRA: ClassVar[str] = ""  # the extra of audiotok with the packages that it needs
    RAGGED: ClassVar[bool] = False  # whether it has `_encode_ragged`

    def __init__(
        self,
        card: CodecCard,
        device: str = "cpu",
        checkpoint: str | Path | None = None,
        *,
        random_weights: bool = False,
    ) -> None:
        self.card = card
        self.random_weights = random_weights
        self.device = torch.device(device)
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.options = card.options
        self.fast = self.options.get("precision") == "fast"
        self.network: torch.nn.Module | None = None
        self._compared = False  # whether the effect of precision=fast was logged
        with LOADING, pytorch_defaults():
            if random_weights:
                with torch.random.fork_rng(devices=[]), torch.no_grad():
                    torch.manual_seed(0)
                    self.network = self._random_network()
            else:
                self._load(self.checkpoint)
            if shares(card):
                self._quantize = search_of(self)
            if self.network is not None:
                self.network.to(self.device).eval()

    # --- what a family writes ------------------------------------------------------------------

    @abstractmethod
    def _load(self, checkpoint: Path | None) -> None:
        """Builds `self.network` with the weights in `checkpoint`, if the codec has any."""

    def _random_network(self) -> torch.nn.Module:
        """A network of the official sizes with random weights, as of the current seed, to try out
        a codec whose weights are not at hand. Instead of `_load`, so it also does what that does
        beside loading."""
        raise NotImplementedError

    def _codebooks(self) -> list[torch.Tensor] | None:
        """All codebooks (V, D) float32 of the network; None if they are implicit."""
        return None

    @classmethod
    def card_from_metadata(cls, metadata: dict[str, str], digest: str) -> CodecCard:
        """The card of a file of weights that is loaded by path, made from the metadata of the file.

        Args:
            metadata: of the safetensors file.
            digest: hash of the file; it is appended to the name, after an @.
        """
        raise CodecError(
            f"codecs of the family {cls.CARDS[0].family} load by name, not from a file"
        )

    @classmethod
    def adapt(cls, card: CodecCard, options: dict[str, object]) -> CodecCard:
        """The card after the family's own OPTIONS have been applied."""
        return card

    @classmethod
    def card_named(cls, name: str) -> CodecCard:
        """The card of a name that starts with the family's PREFIX; `name` comes without it.

        Raises:
            CodecError: there is no such codec, or it gives no codes.
        """
        raise NotImplementedError

    # --- what a user reads ---------------------------------------------------------------------

    @property
    def sample_rate(self) -> int:
        """Of what `decode` gives, Hz."""
        return self.card.sample_rate_out

    @property
    def hop_length(self) -> int:
        """Samples at sample_rate_in per frame."""
        return self.card.hop_length

    @property
    def frame_rate(self) -> float | None:
        return self.card.frame_rate

    @property
    def num_codebooks(self) -> int:
        return self.card.num_codebooks

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        return self.card.codebook_sizes

    @cached_property
    @pytorch_defaults()
    def fingerprint(self) -> str:
        """Hex sha256 of the codebooks; if they are implicit, of the card's fields about codes."""
        codebooks = self._codebooks()
        digest = hashlib.sha256()
        if codebooks is None:
            fields = ("sample_rate_in", "sample_rate_out", "channels", "hop_length")
            fields += ("codebook_sizes", "strides", "byte_stream")
            about = self.card.model_dump(include=set(fields)) | {"name": self._plain_name}
            digest.update(json.dumps(about, sort_keys=True).encode())
        else:
            for codebook in codebooks:
                rows = codebook.detach().to("cpu", torch.float32).contiguous().numpy()
                digest.update(str(rows.shape).encode() + rows.astype("<f4").tobytes())
        return digest.hexdigest()

    @property
    def _plain_name(self) -> str:
        """The name without the options that change neither codes nor sound of given codes."""
        neutral = ("channels", "precision")
        base = self.card.base_name
        relevant = {key: self.options[key] for key in sorted(self.options) if key not in neutral}
        return base + (f":{relevant}" if relevant else "")

    @pytorch_defaults()
    def codebook(self, k: int) -> torch.Tensor:
        """Codebook `k` (V, D) float32, on the CPU."""
        codebooks = self._codebooks()
        if codebooks is None:
            raise CodecError(f"{self.card.name} has implicit codebooks: there are no vectors")
        if not 0 <= k < self.num_codebooks:
            raise CodecError(f"{self.card.name} has codebooks 0..{self.num_codebooks - 1}, not {k}")
        return codebooks[k].detach().to("cpu", torch.float32).clone()

    def codewords(self, k: int) -> torch.Tensor:
        """As `codebook`; for an implicit codebook, the vectors (V, D) of its codes, if known."""
        return self.codebook(k)

    def num_frames(self, num_samples: int) -> int:
        """Frames T of `num_samples` samples at sample_rate_in."""
        if self.card.byte_stream:
            raise CodecError(f"{self.card.name} is a byte stream: it has no fixed number of frames")
        return -(-num_samples // self.card.hop_length)

    # --- encode and decode ---------------------------------------------------------------------

    @pytorch_defaults()
    def encode(self, source: Source) -> Tokens:
        """Tokens of a path, an Audio, or (array, sample_rate)."""
        audio = AudioFile(source) if isinstance(source, str | Path) else as_audio(source)
        if isinstance(audio, AudioFile) and self._by_windows(audio):
            return self._encode_long(audio)
        return self._encode_equal_lengths([prepare(audio, self.card)])[0]

    def _encode_long(self, audio: AudioFile) -> Tokens:
        waveform = LongClip(audio, self.card)
        codes = len(waveform) * self.num_codebooks * self.num_frames(waveform.shape[-1])
        if 8 * codes > free_memory() / 2:
            raise AudioError(
                f"{audio.path} has {audio.num_samples} samples, of which {self.card.name} makes "
                f"{codes} codes: more than fit into memory; cut it into pieces"
            )
        codes, side = self._codes_of(waveform, self.fast)
        waveform.finish()
        clip = Prepared(torch.empty(0), audio.num_samples, audio.sample_rate)
        return self._tokens(clip, codes, side)

    @pytorch_defaults()
    def decode(self, tokens: Tokens, sample_rate: int | None = None) -> Audio:
        """Sound as long as the source, at `sample_rate` (default: the codec's output rate)."""
        return self._decode_equal_lengths([tokens], sample_rate)[0]

    @pytorch_defaults()
    def reconstruct(self, source: Source) -> Audio:
        """Encodes, writes the tokens as bytes, reads these and decodes.

        The result has the source's sample rate and exactly its number of samples.
        """
        audio = as_audio(source)
        tokens = Tokens.from_bytes(self.encode(audio).to_bytes())
        return self.decode(tokens, audio.sample_rate)

    @pytorch_defaults()
    def encode_batch(self, sources: Sequence[Source], batch: Batch = "strict") -> list[Tokens]:
        """Tokens of each source.

        Args:
            sources: as for `encode`.
            batch: "strict" runs one clip per forward and gives the same as `encode`. "length" runs
                clips of equal length together. "ragged" runs clips of any length together, where
                the codec is `ragged`, and pads each as if it were alone. The last two are faster,
                but rounding may differ in the last bits and change a few codes.
        """
        if self._one_by_one(batch):
            return [self.encode(source) for source in sources]
        return self.encode_prepared([prepare(as_audio(one), self.card) for one in sources], batch)

    @pytorch_defaults()
    def encode_prepared(self, clips: Sequence[Prepared], batch: Batch = "strict") -> list[Tokens]:
        """As `encode_batch`, for clips that `prepare` has already converted."""
        if self._one_by_one(batch):
            return [self._encode_equal_lengths([clip])[0] for clip in clips]
        if batch == "length":
            return map_groups(clips, lambda clip: clip.shape_key, self._encode_equal_lengths)
        if not self.ragged:
            raise CodecError(f"{self.card.name} knows no batch 'ragged': 'length' or 'strict'")
        return map_groups(
            clips, lambda clip: self._fits(clip) or clip.shape_key, self._encode_ragged_batch
        )

    @property
    def ragged(self) -> bool:
        """Whether clips of different lengths can go into one forward."""
        return self.RAGGED and max(self.card.strides) == 1 and not shares(self.card)

    def _fits(self, clip: Prepared) -> bool:  # in one forward with clips of other lengths
        frames = self.num_frames(clip.waveform.shape[-1])
        return batches.MIN_FRAMES <= frames <= self.window_seconds * self.frame_rate

    @pytorch_defaults()
    def decode_batch(self, tokens: Sequence[Tokens], batch: Batch = "strict") -> list[Audio]:
        """Sound of each of `tokens`; `batch` as in `encode_batch`, "ragged" being as "length"."""
        if self._one_by_one(batch):
            return [self.decode(one) for one in tokens]
        return map_groups(tokens, batches.shape_key, self._decode_equal_lengths)

    @overload
    def stream(self) -> Stream: ...
    @overload
    def stream(self, batch: int) -> BatchedStreams: ...
    def stream(self, batch: int | None = None) -> Stream | BatchedStreams:
        """A `Stream` that encodes and decodes a new sound chunk by chunk; of `batch` sounds
        together, which start, pause and end apart, `BatchedStreams`.

        Raises:
            CodecError: the codec cannot stream, or batch is no number of sounds.
        """
        card = self.card
        if not card.streamable:
            names = ", ".join(sorted(c.name for c in _all_cards(Codec) if c.streamable)) or "none"
            raise CodecError(
                f"{card.name} cannot stream: {card.not_streamable}; codecs that can: {names}"
            )
        encoder, decoder = self._encoder_in_pieces(), self._decoder_in_pieces()
        if encoder is None or decoder is None:
            raise CodecError(f"the card of {card.name} says streamable, but it cannot stream")
        if batch is None:
            return Stream(self, encoder, decoder)
        return BatchedStreams(self, batch, self._encoder_in_pieces, self._decoder_in_pieces)

    def _one_by_one(self, batch: str) -> bool:
        if batch not in batches.BATCHES:
            raise CodecError(f"batch is one of {', '.join(batches.BATCHES)}, not {batch!r}")
        return batch == "strict" or self.card.byte_stream

    def _encode_equal_lengths(self, clips: list[Prepared]) -> list[Tokens]:
        """Tokens of clips of the same shape and rate, in one forward per window."""
        waveforms = [clip.waveform for clip in clips]
        waveform = waveforms[0][None] if len(clips) == 1 else torch.stack(waveforms)
        separate = waveform.shape[1]
        codes, side = self._codes_of(waveform.flatten(0, 1), self.fast)
        if self.fast and not self._compared:
            self._compared = True
            exact = self._codes_of(waveform.flatten(0, 1), fast=False)[0]
            share = float((codes != exact).double().mean())
            log.info("%s: bfloat16 changed %.2f%% of these codes", self.card.name, 100 * share)
        codes = codes.unflatten(0, (len(clips), separate))
        sides = [None] * len(clips) if side is None else side.split(separate)
        return [self._tokens(*parts) for parts in zip(clips, codes, sides, strict=True)]

    def _encode_ragged_batch(self, clips: list[Prepared]) -> list[Tokens]:
        """Tokens of clips of different lengths, in one forward."""
        if len(clips) == 1 or not self._fits(clips[0]):
            return self._encode_equal_lengths(clips)
        waveform, lengths = padded(clips)
        with inference(self.network, self.device, self.fast):
            codes = self._encode_ragged(waveform.to(self.device), lengths).cpu()
        rows = split(codes, clips, self.num_frames)
        return [self._tokens(clip, row, None) for clip, row in zip(clips, rows, strict=True)]

    def _tokens(self, clip: Prepared, codes: torch.Tensor, side: torch.Tensor | None) -> Tokens:
        about = (self.card.name, self.fingerprint, clip.num_samples, clip.sample_rate)
        return Tokens(codes, *about, side=side, **self.card.layout())

    def _codes_of(
        self, waveform: torch.Tensor, fast: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        with inference(self.network, self.device, fast):
            codes, side = self._encode_windows(waveform)
        return codes, side

    @pytorch_defaults()
    def changed_codes(self, source: Source) -> float:
        """Share of the codes of `source` that precision=fast changes, 0 to 1."""
        waveform = prepare(as_audio(source), self.card).waveform
        exact, fast = (self._codes_of(waveform, fast)[0] for fast in (False, True))
        return float((exact != fast).double().mean())

    def _decode_equal_lengths(
        self, tokens: list[Tokens], sample_rate: int | None = None
    ) -> list[Audio]:
        """Sound of tokens of the same shape, length and rate, in one forward per window."""
        if sample_rate is not None:
            check_sample_rate(sample_rate)
        if self.card.needs:
            raise no_decoder(self.card)
        for one in tokens:
            self._check(one)
        first, card = tokens[0], self.card
        length = resampled_length(first.num_samples, first.sample_rate, card.sample_rate_out)
        side = None if first.side is None else torch.cat([one.side for one in tokens])
        with inference(self.network, self.device, self.fast):
            codes = torch.cat([one.codes for one in tokens])
            waveforms = self._decode_windows(codes, length, side)
        waveforms = waveforms.reshape(len(tokens), -1, length)  # channels coded one by one
        final = sample_rate or card.sample_rate_out
        length = resampled_length(first.num_samples, first.sample_rate, final)
        audios = []
        for waveform in waveforms:
            try:
                audio = Audio(waveform, card.sample_rate_out).resample(final)
            except AudioError as reason:
                raise CodecError(f"{card.name} decoded no usable sound: {reason}") from None
            audios.append(Audio(audio.waveform[:, :length], final))
        return audios

    def _check(self, tokens: Tokens) -> None:
        """Raises CodecError unless these are tokens of this codec."""
        check_decodable(self, tokens)


def _all_cards(family: type[Codec]) -> Iterator[CodecCard]:
    """The cards of a family and of all its subclasses; entries that are not cards are skipped."""
    yield from (card for card in vars(family).get("CARDS", ()) if isinstance(card, CodecCard))
    for other in family.__subclasses__():
        yield from _all_cards(other)
