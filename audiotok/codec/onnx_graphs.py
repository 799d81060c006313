"""A codec as three ONNX graphs, for runtimes without PyTorch: a browser, a phone, another language.

    encoder.onnx    waveform (1, C, L) float32 at sample_rate_in -> latents (1, D, T)
    quantizer.onnx  latents (1, D, T) -> codes (1, K, T) int64, -1 where latents are not finite
    decoder.onnx    codes (1, K, T) int64 -> waveform (1, C, L') at sample_rate_out
    codec.json      the card, and how to use the graphs

Any length from `min_samples` on. Where any number of first codebooks can be decoded, -1 in a
codebook of the decoder's input leaves it out. The search is in fp64: codes are those of audiotok,
except where two codewords are as near as the rounding of the encoder's float32.

The graphs are recorded by PyTorch's exporter by tracing (`dynamo=False`), because lengths here are
chains of roundings up (the frames of a convolution of a convolution ...): the newer exporter solves
them as symbols, which takes minutes where tracing takes a second.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from audiotok.codec.batches import MIN_FRAMES
from audiotok.codec.codec import Codec
from audiotok.codec.merged import shares
from audiotok.errors import CodecError
from audiotok.nn.quantizers import (
    FactorizedResidualQuantizer,
    ResidualVectorQuantizer,
    SplitQuantizer,
)
from audiotok.system.files import make_folder, replacing

GRAPHS = ("encoder.onnx", "quantizer.onnx", "decoder.onnx")
ABOUT = "codec.json"
OPSET = 17
_LARGE = 1024  # numbers of a constant that `half` rounds


def refusal(codec: Codec) -> str | None:
    """Why a codec has no graphs; None if it has."""
    card = codec.card
    if codec.network is None or type(codec)._quantize is Codec._quantize:
        return "only codecs whose network is PyTorch's and audiotok's own can be exported"
    if codec.NO_TENSORS is not None:
        return codec.NO_TENSORS
    if max(card.strides) > 1 or shares(card):
        return "its codebooks run at different rates, which the graphs cannot express"
    if codec.fast:
        return "precision=fast is of PyTorch: leave it out"
    if type(codec)._decode is not Codec._decode:
        return "its decoder adds noise that is drawn from the codes"
    return None


def write(codec: Codec, folder: str | Path, half: bool = False) -> list[Path]:
    """Writes the graphs and `codec.json` into `folder`; returns their paths.

    Args:
        half: store large weights as float16, which halves the files; arithmetic stays float32.
            Exact for weights that were stored in float16 themselves, as those of rvq-small;
            otherwise latents and codebooks change slightly, and with them some codes.

    Raises:
        CodecError: a codec without graphs, or the package onnx is missing.
    """
    if reason := refusal(codec):
        raise CodecError(f"{codec.card.name} cannot be written as ONNX: {reason}")
    if find_spec("onnx") is None:
        raise CodecError("ONNX needs the package onnx: pip install 'audiotok[onnx]'")
    folder = Path(folder)
    files = dict(zip(GRAPHS, _record(codec), strict=True))
    if half:
        files = {name: _halved(graph) for name, graph in files.items()}
    files[ABOUT] = json.dumps(about(codec, half), indent=1).encode() + b"\n"
    make_folder(folder)
    for name, content in files.items():
        with replacing(folder / name, CodecError) as file:
            file.write(content)
    return [folder / name for name in files]


def about(codec: Codec, half: bool = False) -> dict:
    """What a program needs to know to use the graphs."""
    card = codec.card
    return {
        "name": card.name,
        "fingerprint": codec.fingerprint,
        "sample_rate_in": card.sample_rate_in,
        "sample_rate_out": card.sample_rate_out,
        "channels": card.channels,
        "hop_length": card.hop_length,
        "frame_rate": card.frame_rate,
        "codebook_sizes": list(card.codebook_sizes),
        "codebook_counts": list(card.codebook_counts),
        "min_samples": MIN_FRAMES * card.hop_length,
        "half": half,
        "licence_weights": card.licence_weights,
    }


class _Step(nn.Module):
    """One method of a codec as a module, which holds its network."""

    def __init__(self, network: nn.Module, method: Callable[[Tensor], Tensor]):
        super().__init__()
        self.network, self.method = network, method

    def forward(self, tensor: Tensor) -> Tensor:
        return self.method(tensor)


@torch.no_grad()
def _record(codec: Codec) -> list[bytes]:
    """The three graphs, in the order of GRAPHS."""
    card, nested = codec.card, len(codec.card.codebook_counts) > 1

    def decode(codes: Tensor) -> Tensor:
        quantizer = getattr(codec.network, "quantizer", None)
        vectors = _some(quantizer, codes) if nested else codec._dequantize(codes)
        return codec._decode_latents(vectors)

    # one sample more than whole frames: every convolution has an incomplete window to pad
    length = 2 * MIN_FRAMES * card.hop_length + 1
    waveform = torch.rand(1, card.channels, length) - 0.5
    with codec._running():
        latents = codec._encode_latents(waveform)
        codes = codec._quantize(latents)
        steps = (
            (codec._encode_latents, waveform, ("waveform", "latents")),
            (codec._quantize, latents, ("latents", "codes")),
            (decode, codes, ("codes", "waveform")),
        )
        return [_graph(codec.network, *step) for step in steps]


def _some(quantizer: nn.Module, codes: Tensor) -> Tensor:
    """The sum of the vectors of codes (B, K, T), without those that are -1."""
    if isinstance(quantizer, SplitQuantizer):
        first = quantizer.num_semantic
        semantic, acoustic = codes[:, :first], codes[:, first:]
        return _some(quantizer.semantic, semantic) + _some(quantizer.acoustic, acoustic)
    if isinstance(quantizer, FactorizedResidualQuantizer):
        stages = [stage.decode for stage in quantizer.stages]
    elif isinstance(quantizer, ResidualVectorQuantizer):
        stages = [_lookup(codebook) for codebook in quantizer.codebooks]
    else:
        raise CodecError(f"{type(quantizer).__name__} cannot leave codebooks out")
    total = torch.zeros(1)
    for index, stage in enumerate(stages[: codes.shape[1]]):
        code = codes[:, index : index + 1]
        total = total + stage(code.clamp(min=0)) * (code >= 0)
    return quantizer.out_proj(total) if isinstance(quantizer, ResidualVectorQuantizer) else total


def _lookup(codebook: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda codes: nn.functional.embedding(codes[:, 0], codebook).transpose(1, 2)


def _graph(
    network: nn.Module, method: Callable[[Tensor], Tensor], example: Tensor, names: tuple[str, str]
) -> bytes:
    content = io.BytesIO()
    time = {name: {2: f"{name}_length"} for name in names}
    with warnings.catch_warnings(action="ignore"):  # of tracing, and that the exporter is the older
        torch.onnx.export(
            _Step(network, method).eval(),
            (example,),
            content,
            dynamo=False,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes=time,
            opset_version=OPSET,
            do_constant_folding=False,  # what can be computed is not stored
        )
    return content.getvalue()


def _halved(graph: bytes) -> bytes:
    """The same graph with large float32 constants as float16, cast back where they are used."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(graph)
    casts = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == "float32" and array.size > _LARGE:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(array.astype("float16"), f"{name}.half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()
