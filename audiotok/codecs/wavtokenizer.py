"""WavTokenizer: one codebook of 4096, 40 or 75 tokens per second at 24 kHz; and our small one.

Ji et al. 2024, arXiv 2408.16532 (ICLR 2025); weights by the authors at huggingface.co/novateur.
Their Lightning checkpoints load as they are; their unused SEANet decoder and discriminators are
skipped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codecs._trained import BY_RECIPE, Trained, in_float32
from audiotok.errors import CheckpointError
from audiotok.nn import ragged
from audiotok.nn.pieces import Pieces, Search, pieces
from audiotok.nn.quantizers.strided import pool, repeat
from audiotok.nn.seanet import as_float32, fold_weight_norm
from audiotok.nn.wavtokenizer import WavTokenizerConfig, WavTokenizerNetwork

_STRIDES = {40: (4, 5, 5, 6), 75: (2, 4, 5, 8)}  # tokens per second -> in order of application
_MINI = WavTokenizerConfig(
    sample_rate=16000,
    strides=(2, 4, 5, 5),
    dimension=64,
    num_filters=16,
    backbone_dim=256,
    backbone_intermediate_dim=512,
    backbone_layers=6,
    num_conditions=1,
)


def _sizes(frame_rate: float) -> WavTokenizerConfig:
    """The sizes of an official network; these differ only in their strides."""
    return WavTokenizerConfig(strides=_STRIDES[round(frame_rate)])


def _sizes_of(card: CodecCard) -> WavTokenizerConfig:
    return _MINI if card.sample_rate_in == _MINI.sample_rate else _sizes(card.frame_rate)


def _card(name: str, config: WavTokenizerConfig, domain: str, **details: Any) -> CodecCard:
    return CodecCard(
        name=name,
        family="wavtokenizer",
        kind="neural",
        sample_rate_in=config.sample_rate,
        sample_rate_out=config.sample_rate,
        hop_length=math.prod(config.strides),
        codebook_sizes=(config.codebook_size,),
        mergeable=True,
        causal=False,
        streamable=False,
        lookahead=None,
        taxonomy=Taxonomy(
            encoder_decoder="CNN+RNN, Time -> CNN+T, Time-Freq",
            quantization="SVQ, Fixed",
            training_paradigm=details.pop("training_paradigm", "GAN"),
            streamability="no",
            domain=domain,
        ),
        licence_code="Apache-2.0",
        **details,
    )


def _official(
    name: str,
    *,
    rate: int,
    domain: str,
    data: str,
    repository: str,
    file: str,
    sha256: str | None = None,
) -> CodecCard:
    return _card(
        f"wavtokenizer-{name}",
        _sizes(rate),
        domain,
        description=f"official weights, {rate} tokens per second",
        licence_weights="MIT",
        training_data=(data,),
        weights=Weights(
            repository=f"novateur/{repository}",
            file=file,
            revision="main",
            sha256=sha256,
            size_about=1_750_000_000,
        ),
        verified="on random weights only",
    )


class WavTokenizer(Trained):
    """WavTokenizer behind the common interface; rates and channels are on its card."""

    DEFAULT = "wavtokenizer-mini"
    CONFIG = WavTokenizerConfig
    RAGGED = True
    CARDS = (
        _card(
            "wavtokenizer-mini",
            _MINI,
            "speech",
            description="small weights of our own, trained on 50 minutes of English speech",
            training_paradigm="GAN, Feat, Rec, VQ",
            licence_weights="CC-BY-4.0",
            training_data=("LibriSpeech train-clean-100, one utterance of each reader",),
            weights=Weights(
                bundled="wavtokenizer-mini.safetensors",
                sha256="b509b0408b32760d9fee6c3cbb769f2f4ba440defcae498594e2fdc5ffac34c3",
            ),
            verified="by the results of this repository",
        ),
        _official(
            "small-40",
            rate=40,
            domain="speech",
            data="LibriTTS",
            repository="WavTokenizer",
            file="WavTokenizer_small_600_24k_4096.ckpt",
        ),
        _official(
            "small-75",
            rate=75,
            domain="speech",
            data="LibriTTS",
            repository="WavTokenizer",
            file="WavTokenizer_small_320_24k_4096.ckpt",
        ),
        _official(
            "medium-speech-75",
            rate=75,
            domain="speech",
            data="10,000 hours",
            repository="WavTokenizer-medium-speech-75token",
            file="wavtokenizer_medium_speech_320_24k_v2.ckpt",
            sha256="633cc3b5b4b008318df15c995218a7820df52c74873bc8c9343be1d3a3184d78",
        ),
        _official(
            "medium-music-75",
            rate=75,
            domain="music, audio",
            data="10,000 hours",
            repository="WavTokenizer-medium-music-audio-75token",
            file="wavtokenizer_medium_music_audio_320_24k_v2.ckpt",
        ),
        _official(
            "large-unify-40",
            rate=40,
            domain="speech, music, audio",
            data="80,000 hours",
            repository="WavTokenizer-large-unify-40token",
            file="wavtokenizer_large_unify_600_24k.ckpt",
        ),
        _official(
            "large-speech-75",
            rate=75,
            domain="speech",
            data="80,000 hours",
            repository="WavTokenizer-large-speech-75token",
            file="wavtokenizer_large_speech_320_v2.ckpt",
        ),
    )

    def _load(self, checkpoint: Path | None) -> None:
        state, metadata = checkpoints.read_state(checkpoint)
        if "config" not in metadata and self.card.weights.sha256 and not _is_converted(state):
            checkpoints.verify_sha256(checkpoint, self.card.weights.sha256)
        state, config = read_network(state, metadata, checkpoint)
        expected = config if "@" in self.card.name else _sizes_of(self.card)
        if config != expected:
            actual, required = config.model_dump(), expected.model_dump()
            differing = [name for name in required if actual[name] != required[name]]
            raise CheckpointError(
                f"{checkpoint} is not {self.card.name}: it has {_listed(actual, differing)}, the "
                f"card says {_listed(required, differing)}; name the codec that it belongs to"
            )
        with checkpoints.sized_by(state, checkpoint):
            self.network = WavTokenizerNetwork(config)
        checkpoints.load_strict(self.network, state, checkpoint)

    @classmethod
    def card_from_metadata(cls, metadata: dict[str, str], digest: str) -> CodecCard:
        return _card(
            f"{metadata.get('name', cls.CARDS[0].family)}@{digest}",
            cls.config_in(metadata, "the file"),
            "as its training data",
            training_paradigm="as its recipe",
            **BY_RECIPE,
        )

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.network.encoder(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        (stride,) = self.card.strides
        codes = self.network.quantizer.encode(pool(latents.float(), stride))
        return repeat(codes, stride, latents.shape[-1])

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.head(self.network.backbone(quantized))

    def _encode_ragged(self, waveform: Tensor, lengths: Sequence[int]) -> Tensor:
        return self._quantize(ragged.encode(self.network.encoder, waveform, lengths))

    def _encoder_in_pieces(self) -> Pieces:
        return Search(pieces(self.network.encoder), self._quantize, 1, self._unit)

    def _codebooks(self) -> list[Tensor]:
        return [self.network.quantizer.codebook]


def read_network(
    state: dict[str, Tensor], metadata: dict[str, str], path: Path
) -> tuple[dict[str, Tensor], WavTokenizerConfig]:
    """State dict in our names and the sizes of the network, from our files, official ones, or those
    that transformers writes (`WavTokenizerModel`).

    Raises:
        CheckpointError: the file is of none of these.
    """
    if "config" in metadata:
        return in_float32(state), WavTokenizer.config_in(metadata, path)
    converted = _rename_official(state, path)
    return converted, _infer_config(converted, path)


def _is_converted(state: dict[str, Tensor]) -> bool:
    """Whether the keys are those of transformers, not of the official files."""
    return any(key.startswith("encoder_model.") for key in state)


# Keys of transformers -> official ones, as far as they differ.
_FROM_TRANSFORMERS = (
    (
        r"encoder_model\.encoder\.layers\.(.*)\.lstm\.",
        r"feature_extractor.encodec.encoder.model.\1.lstm.",
    ),
    (
        r"encoder_model\.encoder\.layers\.(.*)\.conv\.",
        r"feature_extractor.encodec.encoder.model.\1.conv.conv.",
    ),
    (
        r"encoder_model\.quantizer\.codebook\.",
        "feature_extractor.encodec.quantizer.vq.layers.0._codebook.",
    ),
    (r"parametrizations\.weight\.original0$", "weight_g"),
    (r"parametrizations\.weight\.original1$", "weight_v"),
    (r"^head\.linear\.", "head.out."),
)
# Official keys -> ours; the first match is used. None: encode and decode do not need the tensor.
_ENCODER = r"feature_extractor\.encodec\.encoder\.model"
_CODEBOOK = r"feature_extractor\.encodec\.quantizer\.vq\.layers\.0\._codebook"
_OFFICIAL_KEYS: tuple[tuple[str, str | None], ...] = (
    (_ENCODER + r"\.(\d+)\.conv\.conv\.(\w+)", r"encoder.layers.\1.\2"),
    (_ENCODER + r"\.(\d+\.(?:block\.\d|shortcut))\.conv\.conv\.(\w+)", r"encoder.layers.\1.\2"),
    (_ENCODER + r"\.(\d+\.lstm\.\w+)", r"encoder.layers.\1"),
    (_CODEBOOK + r"\.embed", "quantizer.codebook"),
    (_CODEBOOK + r"\.(inited|cluster_size|embed_avg)", None),
    (r"feature_extractor\.encodec\.decoder\..*", None),
    (r"(backbone\..*)", r"\1"),
    (r"head\.out\.(\w+)", r"head.linear.\1"),
    (r"head\.istft\.window", None),
    (r"(multiperioddisc|multiresddisc|dac|dacdiscriminator|melspec_loss)\..*", None),
)


def _rename_official(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    converted = _is_converted(state)
    for key, tensor in state.items():
        official = key
        for pattern, replacement in _FROM_TRANSFORMERS if converted else ():
            official = re.sub(pattern, replacement, official)
        for pattern, replacement in _OFFICIAL_KEYS:
            if match := re.fullmatch(pattern, official):
                if replacement is not None:
                    renamed[match.expand(replacement)] = as_float32(tensor)
                break
        else:
            raise CheckpointError(f"{path} holds the unknown key {key!r}: not a WavTokenizer")
    window = state.get("head.istft.window")
    if window is not None and not (
        window.is_floating_point()
        and window.ndim == 1
        and torch.allclose(window.float(), torch.hann_window(len(window)))
    ):
        raise CheckpointError(f"{path}: head.istft.window is not the Hann window expected")
    return fold_weight_norm(renamed)


def _infer_config(state: dict[str, Tensor], path: Path) -> WavTokenizerConfig:
    """Sizes from the shapes; the kernel of a downsampling convolution is two strides long."""
    try:
        strides = tuple(state[f"encoder.layers.{i}.weight"].shape[2] // 2 for i in (3, 6, 9, 12))
        codebook_size, dimension = state["quantizer.codebook"].shape
        return WavTokenizerConfig(
            strides=strides,
            dimension=dimension,
            codebook_size=codebook_size,
            num_filters=state["encoder.layers.0.weight"].shape[0],
            num_lstm_layers=sum(".lstm.weight_ih_l" in key for key in state),
            backbone_dim=state["backbone.embed.weight"].shape[0],
            backbone_intermediate_dim=state["backbone.convnext.0.pwconv1.weight"].shape[0],
            backbone_layers=sum(key.endswith(".gamma") for key in state),
            num_conditions=state["backbone.norm.scale.weight"].shape[0],
        )
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}: it is not a whole WavTokenizer") from error


def _listed(sizes: dict[str, Any], names: list[str]) -> str:
    listed = [f"{name} {sizes[name]}" for name in names]
    if "strides" in names:  # the official names contain this rate
        rate = sizes["sample_rate"] / math.prod(sizes["strides"])
        listed.insert(0, f"{rate:g} tokens per second")
    return ", ".join(listed)
