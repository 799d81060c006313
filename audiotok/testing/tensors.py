"""The promise on tensors: codes and sound on the device are those of encode and decode."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from audiotok.codec.batches import prepare
from audiotok.errors import CodecError
from audiotok.testing.case import MOST_ERROR, Case
from audiotok.testing.promise import NotChecked, promise, trying
from audiotok.testing.refusals import refuses

NAMES = ("a voice", "noise", "one sample")


@promise("tensor level", "latents, codes and vectors on the device are those of encode and decode")
def tensor_level(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    if codec.NO_TENSORS is not None:
        raise NotChecked(f"does not apply: {codec.NO_TENSORS}")
    for name in NAMES:
        tokens = case.tokens(name)
        waveform = prepare(case.sounds[name], card).waveform[0][None].to(codec.device)
        with trying(f"encode_codes and decode_codes of {name}"):
            codes = codec.encode_codes(waveform)
            sound = codec.decode_codes(codes) if case.decodes else None
        if codes.dtype != torch.int64 or not torch.equal(codes.cpu(), tokens.codes[:1]):
            yield f"encode_codes gives other codes of {name} than encode"
        if case.decodes and not _same_sound(sound, codec.decode(tokens).waveform[None]):
            yield f"decode_codes makes another sound of {name} than decode"
        yield from _in_steps(case, waveform, codes, sound, name)
    yield from refuses(lambda: codec.encode_codes(waveform[0]), "a waveform of two dimensions")
    yield from refuses(lambda: codec.decode_codes(codes.double()), "codes that are floats")


def _in_steps(
    case: Case, waveform: Tensor, codes: Tensor, sound: Tensor | None, name: str
) -> Iterator[str]:
    """The same through latents and quantized vectors, if the codec has these."""
    codec = case.codec
    latents = _if_supported(lambda: codec.encode_latents(waveform))
    if latents is not None:
        step_codes = codec.quantize(latents)[..., : codes.shape[-1]]
        if not torch.equal(step_codes, codes):
            yield f"quantize(encode_latents()) gives other codes of {name}"
    quantized = _if_supported(lambda: codec.dequantize(codes))
    if quantized is None:
        return
    if quantized.shape[::2] != codes.shape[::2] or quantized.requires_grad:
        yield f"dequantize gives {tuple(quantized.shape)} of codes {tuple(codes.shape)}"
    if not case.decodes:
        yield from refuses(lambda: codec.decode_latents(quantized), "decoding without a decoder")
        return
    decoded = codec.decode_latents(quantized)
    if not codec.SOUND_NEEDS_CODES and not _same_sound(decoded, sound):
        yield f"decode_latents(dequantize()) makes another sound of {name}"
    if latents is None:
        return
    if codec.RUNTIME is not None:
        yield from refuses(lambda: codec.encode_latents(waveform, grad=True), "grad=True")
        return
    with trying("a gradient through the codec"):
        source = waveform.clone().requires_grad_()
        latents = codec.encode_latents(source, grad=True)
        codes = codec.quantize(latents)
        passed = codec.dequantize(codes, straight_through=latents)
        loss = codec.decode_latents(passed, grad=True).square().sum()
        (gradient,) = torch.autograd.grad(loss, source)  # without gradients of the weights
    if not gradient.isfinite().all():
        yield f"the gradient that comes back to {name} is not finite"


def _if_supported(make: Callable[[], Tensor]) -> Tensor | None:
    """The result of a step; None if the codec does not have this step."""
    try:
        return make()
    except CodecError:
        return None


def _same_sound(sound: Tensor, expected: Tensor) -> bool:
    """Whether two sounds are equal up to rounding, over the length of `expected`."""
    sound = sound.cpu()[..., : expected.shape[-1]]
    peak = max(float(expected.abs().max()), 1e-6)
    return sound.shape == expected.shape and bool(
        (sound - expected).abs().max() <= MOST_ERROR * peak
    )
