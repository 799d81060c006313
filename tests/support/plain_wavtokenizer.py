"""WavTokenizer once more, plainly: from official keys, in fp64, one step of arithmetic at a time.

Written from the description of the architecture alone and sharing no line with the package, so
that a mistake in either shows. Slow: for tiny networks.
"""

import math

import torch


def encode(state, strides, waveform):
    """Latents (D, T) of a waveform (L,) and codes (T,), from an official state dict."""
    prefix = "feature_extractor.encodec.encoder.model."
    state = {key: tensor.double() for key, tensor in state.items()}

    def conv(hidden, name, stride=1):
        g, v = (
            state[f"{prefix}{name}.conv.conv.weight_g"],
            state[f"{prefix}{name}.conv.conv.weight_v"],
        )
        weight = v * (g / v.pow(2).sum((1, 2), keepdim=True).sqrt())
        return _conv(hidden, weight, state[f"{prefix}{name}.conv.conv.bias"], stride)

    hidden = conv(waveform.double()[None], "0")
    index = 1
    for stride in strides:
        inner = conv(_elu(hidden), f"{index}.block.1")
        hidden = conv(hidden, f"{index}.shortcut") + conv(_elu(inner), f"{index}.block.3")
        hidden = conv(_elu(hidden), str(index + 2), stride)
        index += 3
    hidden = hidden + _lstm(hidden, state, f"{prefix}{index}.lstm.")
    latents = conv(_elu(hidden), str(index + 2))
    codebook = state["feature_extractor.encodec.quantizer.vq.layers.0._codebook.embed"]
    distances = (latents.T[:, None] - codebook[None]).pow(2).sum(-1)
    return latents, distances.argmin(-1)


def decode(state, hop_length, codes):
    """Waveform (T * hop_length,) of codes (T,), from an official state dict."""
    state = {key: tensor.double() for key, tensor in state.items()}
    hidden = state["feature_extractor.encodec.quantizer.vq.layers.0._codebook.embed"][codes].T

    def weights(name):
        return state[f"backbone.{name}.weight"], state[f"backbone.{name}.bias"]

    def same(hidden, name):  # a convolution with zeros around
        weight, bias = weights(name)
        pad = weight.shape[2] // 2
        zeros = hidden.new_zeros(hidden.shape[0], pad)
        return _correlate(torch.cat([zeros, hidden, zeros], 1), weight, bias, 1)

    def ada(frames, name):  # (T, C)
        scale, shift = (state[f"backbone.{name}.{part}.weight"][0] for part in ("scale", "shift"))
        return _normalise(frames, 1) * scale + shift

    hidden = same(hidden, "embed")
    for index in range(6):
        name = f"pos_net.{index}"
        if index == 5:
            hidden = _group_norm(hidden, *weights(name))
        elif index == 2:
            normed = _group_norm(hidden, *weights(f"{name}.norm"))
            q, k, v = (same(normed, f"{name}.{part}") for part in "qkv")
            attention = torch.softmax(q.T @ k / math.sqrt(len(q)), dim=1)
            hidden = hidden + same((attention @ v.T).T, f"{name}.proj_out")
        else:
            inner = hidden
            for part in "12":
                inner = _group_norm(inner, *weights(f"{name}.norm{part}"))
                inner = same(inner * torch.sigmoid(inner), f"{name}.conv{part}")
            hidden = hidden + inner
    frames = ada(hidden.T, "norm")
    for index in range(sum(key.endswith(".gamma") for key in state)):
        name = f"convnext.{index}"
        weight, bias = weights(f"{name}.dwconv")
        rows = [
            _correlate(_zeros_around(frames.T[c : c + 1], 3), weight[c : c + 1], bias[c : c + 1], 1)
            for c in range(frames.shape[1])
        ]
        inner = ada(torch.cat(rows).T, f"{name}.norm")
        weight, bias = weights(f"{name}.pwconv1")
        inner = inner @ weight.T + bias
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        weight, bias = weights(f"{name}.pwconv2")
        frames = frames + state[f"backbone.{name}.gamma"] * (inner @ weight.T + bias)
    weight, bias = weights("final_layer_norm")
    frames = _normalise(frames, 1) * weight + bias
    return _istft(frames @ state["head.out.weight"].T + state["head.out.bias"], hop_length)


def _istft(coefficients, hop_length):
    size = 4 * hop_length
    magnitudes = coefficients[:, : size // 2 + 1].exp().clamp(max=100)
    phases = coefficients[:, size // 2 + 1 :]
    length = (len(coefficients) - 1) * hop_length + size
    output, envelope = torch.zeros(length).double(), torch.zeros(length).double()
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(size).double() / size)
    time = torch.arange(size).double()
    for index, (magnitude, phase) in enumerate(zip(magnitudes, phases, strict=True)):
        frame = torch.zeros(size).double()
        for k in range(size // 2 + 1):  # a real signal's spectrum: both halves, but for the ends
            weight = (1 if k in (0, size // 2) else 2) / size
            angle = 2 * math.pi * k * time / size
            real, imaginary = magnitude[k] * phase[k].cos(), magnitude[k] * phase[k].sin()
            if k in (0, size // 2):
                imaginary = 0
            frame += weight * (real * angle.cos() - imaginary * angle.sin())
        output[index * hop_length :][:size] += frame * window
        envelope[index * hop_length :][:size] += window**2
    cut = (size - hop_length) // 2
    return (output / envelope.clamp(min=1e-30))[cut : length - cut]


def _elu(hidden):
    return torch.where(hidden > 0, hidden, hidden.exp() - 1)


def _correlate(padded, weight, bias, stride):
    length = (padded.shape[1] - weight.shape[2]) // stride + 1
    columns = [
        (weight * padded[None, :, t * stride : t * stride + weight.shape[2]]).sum((1, 2)) + bias
        for t in range(length)
    ]
    return torch.stack(columns, 1)


def _zeros_around(hidden, count):
    zeros = hidden.new_zeros(hidden.shape[0], count)
    return torch.cat([zeros, hidden, zeros], 1)


def _conv(hidden, weight, bias, stride):
    """With reflection around, extended so that every sample lies in a window."""
    kernel, length = weight.shape[2], hidden.shape[1]
    frames = -(-length // stride)
    right = (kernel - stride) // 2
    left = kernel - stride - right
    right += frames * stride - length
    extended = hidden
    if length <= max(left, right):
        extra = max(left, right) - length + 1
        extended = torch.cat([hidden, hidden.new_zeros(hidden.shape[0], extra)], 1)
    places = torch.arange(-left, length + right)
    last = extended.shape[1] - 1
    places = places.abs()
    places = torch.where(places > last, 2 * last - places, places)
    return _correlate(extended[:, places], weight, bias, stride)


def _lstm(hidden, state, prefix):
    layer = 0
    sequence = hidden.T
    while f"{prefix}weight_ih_l{layer}" in state:
        w, u, b, c = (
            state[f"{prefix}{part}_l{layer}"]
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        output = cell = torch.zeros(u.shape[1]).double()
        outputs = []
        for frame in sequence:
            i, f, g, o = (w @ frame + b + u @ output + c).chunk(4)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            output = torch.sigmoid(o) * torch.tanh(cell)
            outputs.append(output)
        sequence = torch.stack(outputs)
        layer += 1
    return sequence.T


def _normalise(frames, axis):
    mean = frames.mean(axis, keepdim=True)
    variance = ((frames - mean) ** 2).mean(axis, keepdim=True)
    return (frames - mean) / (variance + 1e-6).sqrt()


def _group_norm(hidden, weight, bias):
    grouped = hidden.reshape(32, -1)
    return _normalise(grouped, 1).reshape(hidden.shape) * weight[:, None] + bias[:, None]
