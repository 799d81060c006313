"""EnCodec: 32 residual codebooks at 75 frames per second (24 kHz), 16 at 150 (48 kHz, stereo).

Défossez et al. 2022, arXiv 2210.13438. Loads the state dicts of the encodec package (.th) and
those of transformers' EncodecModel (model.safetensors), which hold the same weights.

The plain name has all codebooks, 24 kbit/s. `codebooks=` takes any number of the first ones; the
bitrates of the paper are, at 24 kHz, 2, 4, 8, 16, 32 codebooks for 1.5, 3, 6, 12, 24 kbit/s, and
at 48 kHz 2, 4, 8, 16 codebooks for 3, 6, 12, 24 kbit/s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codec.licences import UNCLEAR
from audiotok.codecs._pins import pinned
from audiotok.codecs._trained import BY_RECIPE, Trained, in_float32
from audiotok.errors import CheckpointError, CodecError
from audiotok.nn import ragged
from audiotok.nn.chunks import chunk_lengths, normalise, overlap_add
from audiotok.nn.encodec import EncodecConfig, EncodecNetwork
from audiotok.nn.encodec_keys import read_network
from audiotok.nn.pieces import Chain, Pieces, Search, pieces
from audiotok.nn.states import Stateless
from audiotok.system import progress

HOP_LENGTH = 320


def _card(
    name: str, sample_rate: int, num_codebooks: int, domain: str, causal: bool, **details: Any
) -> CodecCard:
    if causal:  # except for the reflection padding at the beginning of the last convolution
        details |= {"lookahead": 6 * details["hop_length"], "settled_lookahead": 0}
    return CodecCard(
        name=name,
        family="encodec",
        sample_rate_in=sample_rate,
        sample_rate_out=sample_rate,
        codebook_sizes=(details.pop("codebook_size", 1024),) * num_codebooks,
        codebook_counts=tuple(range(1, num_codebooks + 1)),
        mergeable=True,
        causal=causal,
        streamable=causal,
        taxonomy=Taxonomy(
            encoder_decoder="CNN+RNN, Time -> CNN+RNN, Time",
            quantization="RVQ, Fixed",
            training_paradigm=details.pop("training_paradigm", "GAN, Feat, Rec, VQ"),
            streamability="yes" if causal else "no",
            domain=domain,
        ),
        licence_code="MIT",
        **details,
    )


def _official(
    name: str, sample_rate: int, num_codebooks: int, domain: str, size_about: int, **details: Any
) -> CodecCard:
    return _card(
        f"encodec-{name}",
        sample_rate,
        num_codebooks,
        domain,
        hop_length=HOP_LENGTH,
        licence_weights=UNCLEAR,  # the code is under MIT, and nothing is said of the weights
        weights=Weights(
            **pinned(f"facebook/encodec_{name}hz"),
            file="model.safetensors",
            size_about=size_about,
        ),
        verified="on random weights only",
        **details,
    )


class SEANetCodec(Trained):
    """What EnCodec and SpeechTokenizer have in common: `EncodecNetwork` and how it is loaded."""

    CONFIG = EncodecConfig
    RAGGED = True

    def _kind(self) -> dict[str, bool]:
        """The boolean fields of `EncodecConfig` that are true."""
        raise NotImplementedError

    def _load(self, checkpoint: Path | None) -> None:
        state, metadata = checkpoints.read_state(checkpoint)
        kind = {"causal": False, "group_norm": False, "bidirectional": False, "snake": False}
        kind |= self._kind()
        if "config" in metadata:
            config, state = self.config_in(metadata, checkpoint), in_float32(state)
        else:
            rate = self.card.sample_rate_in
            state, config = read_network(state, checkpoint, kind["causal"], rate)
        if "@" not in self.card.base_name:  # the card was not made from the metadata of this file
            self._compare(config, kind, checkpoint)
        with checkpoints.sized_by(state, checkpoint):
            self.network = EncodecNetwork(config, self.card.strides)
        checkpoints.load_strict(self.network, state, checkpoint)

    def _compare(self, config: EncodecConfig, kind: dict[str, bool], path: Path) -> None:
        """Raises CheckpointError unless the network fits the card; widths may differ."""
        plain = self.card.base_name  # options may reduce the number of codebooks
        sizes = next(card.codebook_sizes for card in self.CARDS if card.name == plain)
        expected = {"hop_length": self.hop_length, "channels": self.card.channels}
        expected |= {"num_codebooks": len(sizes), "codebook_size": sizes[0]} | kind
        expected["sample_rate"] = self.card.sample_rate_in
        for what, required in expected.items():
            if (actual := getattr(config, what)) != required:
                raise CheckpointError(
                    f"{path} is not {plain}: its {what} is {actual}, expected {required}; "
                    "hf:FOLDER loads networks of other sizes as transformers writes them"
                )

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.network.encoder(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantizer.encode(latents.float(), self.num_codebooks)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.decoder(quantized)

    def _encode_ragged(self, waveform: Tensor, lengths: Sequence[int]) -> Tensor:
        return self._quantize(ragged.encode(self.network.encoder, waveform, lengths))

    def _encoder_in_pieces(self) -> Pieces | None:
        network, config = self.network, self.network.config
        if config.bidirectional or config.group_norm:
            return None
        return self._search(pieces(network.encoder))

    def _search(self, encoder: Pieces) -> Search:
        return Search(encoder, self._quantize, self.num_codebooks, self._unit)

    def _decoder_in_pieces(self) -> Pieces | None:
        if self.network.config.group_norm:
            return None
        return Chain([Stateless(self._dequantize), pieces(self.network.decoder)])

    def _codebooks(self) -> list[Tensor]:
        return list(self.network.quantizer.codebooks)


class Encodec(SEANetCodec):
    """EnCodec at 24 kHz, causal.

    The first frames are an exception: each convolution pads its beginning by reflection, so the
    first frame depends on the six frames after it, the next frames on fewer, the seventh on none. A
    stream returns the first seven frames together, and after that one frame per hop.
    """

    DEFAULT = "encodec-24k"
    CARDS = (
        _official(
            "24k",
            24000,
            32,
            "speech, music, audio",
            93_000_000,
            description="official weights, mono",
            causal=True,
            training_data=("DNS Challenge 4", "Common Voice", "AudioSet", "FSD50K", "Jamendo"),
        ),
    )
    _FIXED = {  # settings that shapes do not show, as in the config.json of transformers
        "sampling_rate": 24000,
        "use_causal_conv": True,
        "pad_mode": "reflect",
        "trim_right_ratio": 1.0,
        "normalize": False,
        "chunk_length_s": None,
    }

    def _load(self, checkpoint: Path | None) -> None:
        self._check_configuration(checkpoint.with_name("config.json"))
        super()._load(checkpoint)

    @classmethod
    def card_from_metadata(cls, metadata: dict[str, str], digest: str) -> CodecCard:
        config = cls.config_in(metadata, "the file")
        if config.group_norm:  # it normalises over a chunk; over a whole clip codes would differ
            raise CheckpointError(
                "these weights code in chunks of a second: load encodec-48k with the file as its "
                "checkpoint"
            )
        return _card(
            f"{metadata.get('name', 'encodec')}@{digest}",
            config.sample_rate,
            config.num_codebooks,
            "as its training data",
            hop_length=config.hop_length,
            codebook_size=config.codebook_size,
            channels=config.channels,
            causal=config.causal,
            training_paradigm="as its recipe",
            **BY_RECIPE,
        )

    def _kind(self) -> dict[str, bool]:
        return {"causal": self.card.causal, "group_norm": not self.card.causal}

    def _check_configuration(self, path: Path) -> None:
        if not path.is_file():
            return
        try:
            config = json.loads(path.read_bytes())
            differing = [k for k, v in self._FIXED.items() if config.get(k, v) != v]
        except (ValueError, AttributeError) as reason:
            raise CheckpointError(f"{path} is not a configuration of transformers") from reason
        for key in differing[:1]:
            raise CheckpointError(
                f"{path} is not that of {self.card.name}: {key} is {config[key]!r}, "
                f"expected {self._FIXED[key]!r}; hf:FOLDER loads networks of other sizes"
            )


class ChunkedEncodec(Encodec):
    """EnCodec at 48 kHz: stereo in chunks of a second, each normalised and coded separately.

    A chunk starts every 0.99 s, so there are slightly more frames than the card's rate says.
    `codes` has the frames of all chunks one after another, `side` the level of each chunk (float32
    bits). Chunks are padded only to whole frames, as in the encodec package.
    """

    CARDS = (
        _official(
            "48k",
            48000,
            16,
            "music",
            76_000_000,
            description="official weights, stereo in chunks of a second",
            channels=2,
            causal=False,
            lookahead=48000 - HOP_LENGTH,
            training_data=("Jamendo",),
        ),
    )
    _FIXED = {
        "sampling_rate": 48000,
        "use_causal_conv": False,
        "pad_mode": "reflect",
        "trim_right_ratio": 1.0,
        "normalize": True,
        "chunk_length_s": 1.0,
        "overlap": 0.01,
    }
    RAGGED = False
    NO_TENSORS = "each second has a level beside its codes; encode and decode take care of it"
    chunk_length = 48000  # samples
    chunk_step = 47520

    def _chunks(self, num_samples: int) -> list[tuple[int, int]]:
        """Samples and frames of each chunk."""
        lengths = chunk_lengths(num_samples, self.chunk_length, self.chunk_step)
        return [(length, -(-length // self.hop_length)) for length in lengths]

    def num_frames(self, num_samples: int) -> int:
        return sum(frames for _, frames in self._chunks(num_samples))

    def _encode_windows(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        codes, levels, chunks = [], [], self._chunks(waveform.shape[-1])
        search = self._search(lambda latents, last: latents)  # frames of two chunks may share codes
        for index, (length, _) in enumerate(chunks):
            start = index * self.chunk_step
            chunk, level = normalise(waveform[..., start : start + length].to(self.device))
            codes.append(search(self.network.encoder(chunk), index == len(chunks) - 1).cpu())
            levels.append(level)
            progress.report(index + 1, len(chunks))
        return torch.cat(codes, dim=-1), torch.stack(levels, dim=1).cpu().view(torch.int32)

    def _decode_windows(self, codes: Tensor, length: int, side: Tensor | None) -> Tensor:
        chunks = self._chunks(length)
        expected = (len(codes), len(chunks))
        if side is None or side.dtype != torch.int32 or side.shape != expected:
            actual = "none" if side is None else f"{side.dtype} of shape {tuple(side.shape)}"
            raise CodecError(
                f"{self.card.name} needs the level of each chunk, int32 of shape {expected}, as "
                f"side information: these tokens have {actual}"
            )
        levels = side.view(torch.float32)
        for index, level in enumerate(levels.unbind(1)):
            if not level.isfinite().all():
                raise CodecError(f"{self.card.name}: the level of chunk {index} is {level[0]:g}")
        return overlap_add(self._sounds(codes, chunks, levels), self.chunk_step, length)

    def _sounds(
        self, codes: Tensor, chunks: list[tuple[int, int]], levels: Tensor
    ) -> Iterator[Tensor]:
        """Each chunk (B, C, samples of its frames), on the CPU."""
        pieces = codes.split([frames for _, frames in chunks], dim=-1)
        for index, (piece, level) in enumerate(zip(pieces, levels.unbind(1), strict=True)):
            sound = self._decode(piece.to(self.device)).float()
            progress.report(index + 1, len(chunks))
            yield sound.cpu() * level[:, None, None]
