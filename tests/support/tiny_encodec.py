"""Tiny networks of the encodec package with random weights, their files, and how codes compare."""

import warnings
from functools import cache
from pathlib import Path

import encodec
import torch
from encodec.modules import SEANetDecoder, SEANetEncoder
from encodec.quantization import ResidualVectorQuantizer

import audiotok
from audiotok.sound.audio import Audio, as_audio

DIMENSION, FILTERS, SIZE = 32, 4, 1024
UNIT_ROUNDOFF = 2.0**-24
CORPUS = Path(audiotok.__file__).parent / "bundled" / "corpus"


@cache
def speech(sample_rate, channels, seconds, first=0):
    """(C, L): sentences of the bundled corpus, one after another; a second channel is another."""
    files = sorted(CORPUS.glob("*_?.flac"))
    length = int(seconds * sample_rate)
    rows = []
    for channel in range(channels):
        chosen = files[first + 20 * channel :] + files
        pieces, have = [], 0
        while have < length:
            pieces.append(as_audio(chosen[len(pieces)]).resample(sample_rate).waveform[0])
            have += len(pieces[-1])
        rows.append(torch.cat(pieces)[:length])
    return torch.stack(rows)


def audio(sample_rate, channels, num_samples):
    seconds = -(-num_samples // sample_rate)
    return Audio(speech(sample_rate, channels, seconds, first=3)[:, :num_samples], sample_rate)


def official(name, seed=0):
    """The package's model of 24 or 48 kHz with few channels; codebooks drawn from speech."""
    torch.manual_seed(seed)
    rate, channels, stages, causal = (
        (24000, 1, 32, True) if name == "24k" else (48000, 2, 16, False)
    )
    sizes = {"channels": channels, "dimension": DIMENSION, "n_filters": FILTERS, "causal": causal}
    sizes["norm"] = "weight_norm" if causal else "time_group_norm"
    with warnings.catch_warnings(action="ignore"):  # weight_norm is an old function
        encoder, decoder = SEANetEncoder(**sizes), SEANetDecoder(**sizes)
    quantizer = ResidualVectorQuantizer(dimension=DIMENSION, n_q=stages, bins=SIZE)
    model = encodec.EncodecModel(
        encoder, decoder, quantizer, [3.0, 6.0, 24.0], rate, channels, normalize=not causal,
        segment=None if causal else 1.0,
    ).eval()  # fmt: skip
    model.set_target_bandwidth(24.0)
    with torch.no_grad():
        randomise(model)
        sound = speech(rate, channels, 20)[None]
        latents = []
        for start in range(0, sound.shape[-1], rate):
            piece = sound[..., start : start + rate]
            if model.normalize:
                piece = piece / piece.mean(1).square().mean().sqrt()
            latents.append(encoder(piece))
        codebooks = drawn(torch.cat(latents, dim=-1)[0].T, stages)
        for layer, codebook in zip(quantizer.vq.layers, codebooks, strict=True):
            layer._codebook.embed.copy_(codebook)
            layer._codebook.embed_avg.copy_(3 * codebook)  # is not what counts
            layer._codebook.inited.fill_(1)
    return model


def randomise(model):
    """Every parameter random, and such that speech keeps its level from layer to layer."""
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        if name.endswith("weight_g"):
            parameter.copy_(1.5 + 0.2 * noise)
        elif parameter.ndim == 3:
            parameter.copy_(noise * (1.5 / parameter[0].numel() ** 0.5))
        elif "norm" in name and name.endswith("weight"):
            parameter.copy_(1 + 0.2 * noise)
        else:
            parameter.copy_(0.2 * noise)
        if name == "encoder.model.0.conv.conv.weight_g":
            parameter.mul_(10)  # speech has a level of about 0.1


def drawn(rows, stages):
    """Codebooks (K, V, D) of residuals of the rows, so far off that the next has work to do."""
    codebooks, off = [], 0.2 * rows.std()
    for stage in range(stages):
        chosen = rows[torch.randperm(len(rows))[:SIZE]]
        codebooks.append(chosen + off * 0.85**stage * torch.randn_like(chosen))
        rows = rows - codebooks[-1][torch.cdist(rows, codebooks[-1]).argmin(1)]
    return torch.stack(codebooks)


def disagreements(quantizer, latents, official_latents, codes, official_codes):
    """How many codes (1, K, T) differ where they must not: up to the first near tie of a frame.

    A near tie is one of the best two squared distances (fp64) to our rows, within twice the
    rounding of |x|² - 2 x.c + |c|² in fp32, and what the difference of the latents moves.
    """
    apart = (latents - official_latents).double().norm(dim=1)[0]
    near = []
    stages = zip(quantizer.searched(latents, codes), quantizer.codebooks, strict=False)
    for (rows, _), codebook in stages:
        rows, codebook = rows.double(), codebook.double()
        distances = torch.cdist(rows, codebook, compute_mode="donot_use_mm_for_euclid_dist")
        best = distances.topk(2, largest=False).values.square()
        largest = rows.norm(dim=1) + codebook.norm(dim=1).max()
        bound = 2 * (rows.shape[1] + 8) * UNIT_ROUNDOFF * largest.square() + 4 * apart * largest
        near.append(best[:, 1] - best[:, 0] <= bound)
    near = torch.stack(near).cummax(dim=0).values
    assert near.float().mean() < 0.02  # the comparison is not an empty one
    return int(((codes != official_codes)[0] & ~near).sum())


def official_encode(model, waveform):
    """The package's chunks, their codes (1, K, T) one after another, and levels (1, chunks)."""
    with torch.no_grad():
        chunks = model.encode(waveform[None])
    levels = [level for _, level in chunks]
    levels = None if levels[0] is None else torch.cat(levels, dim=1)
    return chunks, torch.cat([codes for codes, _ in chunks], dim=-1), levels


def transformers_model(name):
    """transformers' EncodecModel with the weights of the package's."""
    from transformers import EncodecConfig, EncodecModel

    model = official(name)
    config = {
        "hidden_size": DIMENSION,
        "num_filters": FILTERS,
        "codebook_size": SIZE,
        "target_bandwidths": [3.0, 6.0, 24.0],
    }
    if name == "48k":
        config |= {"sampling_rate": 48000, "audio_channels": 2, "normalize": True, "overlap": 0.01}
        config |= {"norm_type": "time_group_norm", "use_causal_conv": False, "chunk_length_s": 1.0}
    theirs = EncodecModel(EncodecConfig(**config)).eval()
    state = {}
    for key, tensor in model.state_dict().items():
        key = key.replace(".model.", ".layers.").replace(".vq.", ".").replace("._", ".")
        key = key.replace("convtr.convtr", "conv").replace("conv.conv", "conv")
        key = key.replace("convtr.norm", "norm").replace("conv.norm", "norm")
        key = key.replace("weight_g", "parametrizations.weight.original0")
        state[key.replace("weight_v", "parametrizations.weight.original1")] = tensor
    theirs.load_state_dict(state)
    return theirs
