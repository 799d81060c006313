"""BigCodec: one codebook of 8192, 80 tokens per second at 16 kHz, for speech.

Xin et al. 2024, arXiv 2409.05377; weights by the authors at huggingface.co/Alethia/BigCodec. Their
`bigcodec.pt`, and the checkpoints of their training code, load as they are.

Codes are those of the official encoder for the sound padded with zeros to whole frames. The
official script adds one more frame of zeros where the sound is whole frames already, and its codes
end with that of this frame.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec, CodecCard, Taxonomy, Weights
from audiotok.codecs._pins import pinned
from audiotok.errors import CheckpointError
from audiotok.nn.alias_free import low_pass
from audiotok.nn.bigcodec import BigCodecConfig, BigCodecNetwork
from audiotok.nn.dac_keys import from_official
from audiotok.nn.pieces import Chain, Pieces, Search, pieces
from audiotok.nn.quantizers import merged
from audiotok.nn.states import Stateless

_SIZES = BigCodecConfig()


class BigCodec(Codec):
    """BigCodec behind the common interface."""

    window_seconds = 10.0  # wide activations: a minute of them would take gigabytes
    CARDS = (
        CodecCard(
            name="bigcodec",
            family="bigcodec",
            description="official weights, one code per frame",
            sample_rate_in=16_000,
            sample_rate_out=16_000,
            hop_length=math.prod(_SIZES.strides),
            codebook_sizes=(_SIZES.codebook_size,),
            mergeable=True,
            causal=False,
            streamable=False,
            lookahead=_SIZES.reach,
            taxonomy=Taxonomy(
                encoder_decoder="CNN+RNN, Time -> CNN+RNN, Time",
                quantization="SVQ, Fixed",
                training_paradigm="GAN, Feat, Rec, VQ",
                streamability="no",
                domain="speech",
            ),
            licence_code="MIT",
            licence_weights="MIT",
            training_data=tuple(
                f"LibriSpeech train-{part}" for part in ("clean-100", "clean-360", "other-500")
            ),
            weights=Weights(
                **pinned("Alethia/BigCodec"), file="bigcodec.pt", size_about=640_000_000
            ),
            verified="on random weights only",
        ),
    )

    def _load(self, checkpoint: Path | None) -> None:
        state, _ = checkpoints.read_state(checkpoint, networks=("CodecEnc", "generator"))
        state = _renamed(state, checkpoint)
        config = _sizes(state, checkpoint)
        hop, card = math.prod(config.strides), self.card
        if (hop, config.codebook_size) != (card.hop_length, *card.codebook_sizes):
            raise CheckpointError(
                f"{checkpoint} is not {card.base_name}: it has hop length {hop} and a codebook of "
                f"{config.codebook_size}, the card says {card.hop_length} and "
                f"{card.codebook_sizes[0]}"
            )
        with checkpoints.sized_by(state, checkpoint):
            self.network = BigCodecNetwork(config)
        checkpoints.load_strict(self.network, state, checkpoint)
        self.network.quantizer = merged(self.network.quantizer, card.strides)

    def _random_network(self) -> BigCodecNetwork:
        network = BigCodecNetwork(_SIZES)
        network.quantizer = merged(network.quantizer, self.card.strides)
        return network

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.network.encoder(self._whole(waveform))

    def _whole(self, waveform: Tensor) -> Tensor:
        return F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantize(latents)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.decoder(quantized)

    def _encoder_in_pieces(self) -> Pieces:
        encoder = Chain([Stateless(self._whole), *pieces(self.network.encoder).steps])
        return Search(encoder, self._quantize, 1, self._unit)

    def _decoder_in_pieces(self) -> Pieces:
        return Chain([Stateless(self._dequantize), *pieces(self.network.decoder).steps])

    def _codebooks(self) -> list[Tensor]:
        return self.network.quantizer.codebooks


# Official keys -> ours, before the lists of layers get the names that they have in DAC; the first
# match is used. None: encode and decode do not need the tensor.
_KEYS = (
    (r"(?:model\.)?(?:criteria|discriminator|spec_discriminator)\..*", None),
    (r"(?:model\.)?CodecEnc\.block\.(.*)", r"encoder.\1"),
    (r"(?:model\.)?generator\.model\.(.*)", r"decoder.\1"),
    (r"(?:model\.)?generator\.quantizer\.layers\.(\d+)\._codebook\.(.*)",
     r"quantizer.stages.\1.codebook.\2"),
    (r"(?:model\.)?generator\.quantizer\.layers\.(.*)", r"quantizer.stages.\1"),
)  # fmt: skip


def _renamed(official: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """A state dict in our names; filters, which are constants, are left out.

    Raises:
        CheckpointError: filters differ from those of the official code.
    """
    renamed, taps = {}, low_pass()
    for key, tensor in official.items():
        if key.endswith(".filter"):
            if tensor.numel() != len(taps) or not torch.allclose(tensor.float().flatten(), taps):
                raise CheckpointError(f"{path}: {key} is not the filter expected")
            continue
        if (name := checkpoints.renamed_key(key, _KEYS)) is not None:
            renamed[re.sub(r"\.act\.(alpha|beta)$", r".\1", name)] = tensor
    state = from_official(renamed)
    for name in [name for name in state if re.search(r"\.(in|out)_proj\.weight$", name)]:
        state[name] = state[name][..., None]  # a linear layer of each frame
    return state


def _sizes(state: dict[str, Tensor], path: Path) -> BigCodecConfig:
    """Sizes from the shapes of a state dict in our names; strides are half the kernel sizes.

    Raises:
        CheckpointError: keys are missing, or the shapes are not those of a BigCodec.
    """

    def strides(half: str, first: int, position: int) -> tuple[int, ...]:
        keys = [f"{half}.{block}.layers.{position}.weight" for block in range(first, 12)]
        return tuple(state[key].shape[2] // 2 for key in keys if key in state)

    try:
        return BigCodecConfig(
            strides=strides("encoder", 1, 4),
            num_filters=len(state["encoder.0.weight"]),
            dimension=state["decoder.0.weight"].shape[1],
            decoder_strides=strides("decoder", 2, 1),
            decoder_channels=len(state["decoder.0.weight"]),
            num_lstm_layers=sum(key.startswith("decoder.1.lstm.weight_hh_l") for key in state),
            codebook_size=state["quantizer.stages.0.codebook"].shape[0],
            codebook_dim=state["quantizer.stages.0.codebook"].shape[1],
        )
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}: it is not a whole BigCodec") from error
    except IndexError as error:
        raise CheckpointError(f"{path} has weights of other shapes than a BigCodec") from error
