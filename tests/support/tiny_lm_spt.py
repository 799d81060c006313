"""A narrow LM-SPT with random weights, under our names and under those of the official code."""

import functools
import re

import torch
from safetensors.torch import save_file

from audiotok.nn.lm_spt import DACDecoderConfig, DACEncoderConfig, LMSPTConfig, LMSPTNetwork
from support.stack_parity import draw_codebooks, scatter, speech
from support.tiny_dac import original_state

OFFICIAL = (
    (r"^auxiliary_decoder\.block", "aux_decoder.model"),
    (r"^quantizer\.semantic\.", "quantizer.rvq_first."),
    (r"^quantizer\.acoustic\.", "quantizer.rvq_rest."),
)


@functools.cache
def network():
    """Of the card's strides and codebooks, which are drawn from latents of speech."""
    config = LMSPTConfig(
        encoder=DACEncoderConfig(strides=(4, 5, 6, 8, 2), num_filters=2),
        dimension=32,
        decoder=DACDecoderConfig(strides=(2, 8, 6, 5, 4), channels=64),
        auxiliary_decoder=DACDecoderConfig(strides=(8, 8, 5, 4), channels=32),
    )
    built = scatter(LMSPTNetwork(config)).eval()
    with torch.no_grad():
        waveform = speech(24000, 20)
        semantic = built.semantic_encoder(waveform)
        draw_codebooks(built.quantizer.semantic.stages, (1,), semantic)
        found = built.quantizer.semantic.decode(built.quantizer.semantic.encode(semantic))
        rest = built.acoustic_encoder(waveform) - found
        draw_codebooks(built.quantizer.acoustic.stages, (1,) * 7, rest)
    return built


def save_official(built, path):
    """As the released file is: safetensors with weight norm, and what training counted."""
    state = {}
    for key, tensor in original_state(built).items():
        for ours, theirs in OFFICIAL:
            key = re.sub(ours, theirs, key)
        state[key] = tensor.contiguous()
    state["quantizer.semantic_vocab_usage"] = torch.zeros(1, 16384)
    state["quantizer.acoustic_vocab_usage"] = torch.zeros(7, 4096)
    save_file(state, path)
    return path
