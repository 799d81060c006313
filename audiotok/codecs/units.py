"""K-means units of HuBERT and WavLM: tokens without a decoder, 50 a second for each layer.

    audiotok fit-units recordings/ -t units:hubert:k=500,layer=9 -o hubert-l9-k500.safetensors
    audiotok encode talk.wav -t hubert-l9-k500.safetensors -o talk.atok
    audiotok encode talk.wav -t units:wavlm:k=1000,layer=3/7/12 -c centroids.npy -o talk.atok

Hsu et al. 2021 (HuBERT), arXiv 2106.07447; Chen et al. 2022 (WavLM), arXiv 2110.13900; Lakhotia et
al. 2021 (units as pseudo-text), arXiv 2102.01192; Mousavi et al. 2024 (DASB, several layers), arXiv
2406.14294. The networks are transformers' HubertModel and WavLMModel. A code is the number of the
centroid that is nearest to the hidden state of a layer; layers are counted as in transformers'
`hidden_states`, so 0 is the input of the first layer. Each layer has a codebook of its own.

Sound is normalised to mean 0 and variance 1 where the network was trained so: the large ones, whose
convolutions have layer norms. For the others a group norm makes up for loudness. Codes are those of
the network for the sound as it is; windows of 25 ms end before the sound does, so the last hidden
state is repeated until there are ceil(L / 320) frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec, CodecCard, Taxonomy, Weights
from audiotok.codec.variants import text_of
from audiotok.codecs import _centroids, _speech_encoder
from audiotok.errors import CheckpointError, CodecError
from audiotok.nn.quantizers.strided import pool, repeat
from audiotok.nn.quantizers.vq import VectorQuantizer

LAYERS = {"units:hubert": (9,), "units:wavlm": (21,)}  # where the name says none
# Sizes of networks with random weights, where they differ from the defaults of transformers.
SIZES: dict[str, dict[str, Any]] = {
    "units:hubert": {},
    "units:wavlm": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
    },
}
GIVEN = (
    "a file of centroids: learn them on recordings with `audiotok fit-units`, or give the .npy or "
    ".safetensors file of others with --checkpoint"
)


def layers_type(text: str) -> tuple[int, ...]:
    """Layers in "9" or "1/3/7", each once and in order."""
    layers = tuple(int(part) for part in text.split("/"))
    if list(layers) != sorted(set(layers)) or layers[0] < 0:
        raise ValueError(text)
    return layers


layers_type.__name__ = "rising list of layers, as 9 or 1/3/7"


def size_type(text: str) -> int:
    """Number of centroids of a layer."""
    if not 2 <= int(text) <= 2**20:
        raise ValueError(text)
    return int(text)


size_type.__name__ = "whole number from 2 to 1048576"


def _card(name: str, layer: int, *, description: str, repository: str, size: int, **about: Any):
    return CodecCard(
        name=f"units:{name}",
        family="units",
        description=f"{description}, layer {layer}; centroids are yours",
        sample_rate_in=16_000,
        sample_rate_out=16_000,
        hop_length=320,
        codebook_sizes=(500,),
        mergeable=True,
        needs="a vocoder trained on these units, such as a unit HiFi-GAN",
        causal=False,
        streamable=False,
        lookahead=None,
        taxonomy=Taxonomy(
            encoder_decoder="CNN+T, Time -> none",
            quantization="k-means, Fixed",
            training_paradigm="SSL; k-means after training",
            streamability="no",
            domain="speech",
        ),
        weights=Weights(
            repository=repository,
            file="pytorch_model.bin",
            beside=("config.json",),
            revision="main",
            size_about=size,
            given=GIVEN,
        ),
        verified="on random weights only",
        **about,
    )


class UnitsNetwork(nn.Module):
    """Hidden states, and a codebook for each layer.

    Args:
        encoder: HubertModel or WavLMModel.
        layers: K numbers of hidden states.
        centroids: (K, V, D).
    """

    def __init__(self, encoder: nn.Module, layers: tuple[int, ...], centroids: Tensor):
        super().__init__()
        self.states = _speech_encoder.HiddenStates(encoder, layers)
        self.quantizers = nn.ModuleList(VectorQuantizer(*one.shape) for one in centroids)
        for quantizer, one in zip(self.quantizers, centroids, strict=True):
            quantizer.codebook.copy_(one)


class Units(Codec):
    """K-means units behind the common interface: they can be encoded and measured, not decoded."""

    EXTRA = "hf"
    OPTIONS = {"layer": layers_type, "k": size_type}
    CARDS = (
        _card(
            "hubert",
            9,
            description="k-means units of HuBERT base",
            repository="facebook/hubert-base-ls960",
            size=378_000_000,
            licence_code="Apache-2.0",
            licence_weights="Apache-2.0",
            training_data=("LibriSpeech",),
        ),
        _card(
            "wavlm",
            21,
            description="k-means units of WavLM large",
            repository="microsoft/wavlm-large",
            size=1_260_000_000,
            licence_code="Apache-2.0",
            licence_weights="CC-BY-SA-3.0",  # so its page on the Hub; the code's repository: MIT
            training_data=("Libri-Light", "GigaSpeech", "VoxPopuli"),
        ),
    )

    @classmethod
    def adapt(cls, card: CodecCard, options: dict[str, object]) -> CodecCard:
        if "@" in card.name and {"layer", "k"} & options.keys():
            raise CodecError(f"{card.name}: the file of centroids has layer and k: leave them out")
        count = len(options["layer"]) if "layer" in options else card.num_codebooks
        return _with(card, count, options.get("k", card.codebook_sizes[0]))

    @classmethod
    def network_of(cls, card: CodecCard) -> CodecCard:
        """The plain card of the network alone, whose weights need no centroids."""
        plain = next(one for one in cls.CARDS if one.name == card.base_name.partition("@")[0])
        weights = plain.weights.model_copy(update={"given": ""})
        return plain.model_copy(update={"weights": weights})

    @classmethod
    def card_from_metadata(cls, metadata: dict[str, str], digest: str) -> CodecCard:
        card = next((card for card in cls.CARDS if card.name == metadata.get("name")), None)
        if card is None:
            raise CheckpointError(f"the file is of {metadata.get('name')!r}, which no codec is")
        layers = layers_type(metadata["layers"])
        changed = {
            "name": f"{card.name}@{digest}",
            "description": f"{card.name}, layer {text_of(layers)}, centroids from a file",
            "hop_length": size_type(metadata["hop_length"]),
            "weights": card.weights.model_copy(update={"given": ""}),
            "verified": "by nobody",
        }
        return _with(card.model_copy(update=changed), len(layers), size_type(metadata["k"]))

    def _load(self, checkpoint: Path | None) -> None:
        file = self._file(checkpoint)
        centroids, metadata = _centroids.read(file)
        weights = self._weights(checkpoint)
        encoder = _speech_encoder.read(weights, self.kind, self.card.base_name)
        layers = self._layers(metadata, file)
        fitted = metadata.get("network_sha256")
        if fitted not in (None, checkpoints.network_sha256(encoder)):
            raise CheckpointError(
                f"{file} was fitted to another network than {weights}: put it into the folder of "
                "that network, and give the folder with --checkpoint"
            )
        self.network = UnitsNetwork(encoder, layers, centroids)
        self._check_fit(encoder.config, centroids.shape, file)

    @property
    def kind(self) -> str:
        """hubert or wavlm."""
        return self.card.base_name.partition("@")[0].partition(":")[2]

    def _file(self, checkpoint: Path) -> Path:
        """The file of centroids: the checkpoint, or beside it if that is the network."""
        if not _centroids.is_network(checkpoint):
            return checkpoint
        beside = [checkpoint.with_name(name) for name in _centroids.NAMES]
        files = [path for path in beside if path.is_file()]
        if not files:
            names = " or ".join(_centroids.NAMES)
            raise CheckpointError(
                f"{checkpoint.parent} has no {names}: {self.card.name} needs {GIVEN}"
            )
        return files[0]

    def _weights(self, checkpoint: Path) -> Path:
        """The weights of the network: the checkpoint, beside it, or those of the card."""
        if _centroids.is_network(checkpoint):
            return checkpoint
        card = self.network_of(self.card)
        beside = [checkpoint.with_name(name) for name in (card.weights.file, "model.safetensors")]
        if checkpoint.with_name("config.json").is_file():
            for path in beside:
                if path.is_file():
                    return path
        return checkpoints.resolve(card)

    def _layers(self, metadata: dict[str, str], file: Path) -> tuple[int, ...]:
        asked = self.options.get("layer")
        if "layers" not in metadata:
            return asked or LAYERS[self.card.base_name]
        try:
            layers = layers_type(metadata["layers"])
        except ValueError as reason:
            raise checkpoints.no_network(file, reason) from reason
        if (asked or layers) != layers:
            raise CheckpointError(
                f"{file} is of layer {text_of(layers)}, not of layer {text_of(asked)}: name layer="
                f"{text_of(layers)}"
            )
        return layers

    def _check_fit(self, config: Any, shape: tuple[int, int, int], file: Path) -> None:
        """Raises CheckpointError unless network, centroids (K, V, D), layers and card fit."""
        count, size, dimension = shape
        layers, hop, card = self.network.states.layers, self.network.states.hop_length, self.card
        if hop != card.hop_length:
            why = f"the network has frames of {hop} samples, {card.name} of {card.hop_length}"
        elif count != len(layers):
            why = f"it has centroids of {count} layers, but {card.name} is of {text_of(layers)}"
        elif dimension != config.hidden_size:
            why = f"its centroids have {dimension} dimensions, the network {config.hidden_size}"
        elif size != card.codebook_sizes[0]:
            why = f"it has {size} centroids, {card.name} {card.codebook_sizes[0]}: name k={size}"
        else:
            return
        raise CheckpointError(f"{file} does not fit: {why}")

    def _random_network(self) -> nn.Module:
        name = self.card.base_name
        encoder = _speech_encoder.drawn(self.kind, name, SIZES[name])
        layers = self.options.get("layer") or LAYERS[name]
        states = _speech_encoder.HiddenStates(encoder, layers)
        latents = states(torch.randn(1, 1, 64_000).cumsum(-1).sin())[0]
        latents = latents.unflatten(0, (len(layers), 1, -1))
        std, mean = torch.std_mean(latents, -1)
        shape = (len(layers), self.card.codebook_sizes[0], latents.shape[2])
        return UnitsNetwork(encoder, layers, mean + std * torch.randn(shape))

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.network.states(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        parts = latents.float().chunk(self.num_codebooks, 1)
        stages = zip(self.network.quantizers, parts, self.card.strides, strict=True)
        codes = [
            repeat(quantizer.encode(pool(part, stride)), stride, latents.shape[-1])
            for quantizer, part, stride in stages
        ]
        return torch.cat(codes, 1)

    def _dequantize(self, codes: Tensor) -> Tensor:
        pairs = zip(self.network.quantizers, codes.split(1, 1), strict=True)
        return torch.cat([quantizer.decode(one) for quantizer, one in pairs], 1)

    def _codebooks(self) -> list[Tensor]:
        return [quantizer.codebook for quantizer in self.network.quantizers]


def _with(card: CodecCard, count: int, size: int) -> CodecCard:
    """The card for so many layers with so many centroids each."""
    return card.model_copy(
        update={
            "codebook_sizes": (size,) * count,
            "strides": (1,) * count,
            "codebook_counts": (count,),
        }
    )
