"""SNAC once more, plainly: from official keys and configuration, in fp64.

Written from the description of the architecture alone and sharing no line with the package, so
that a mistake in either shows.
"""

import math

import torch
from torch.nn.functional import conv1d, conv_transpose1d, layer_norm, pad


class Plain:
    """encode and decode of one clip.

    Args:
        state: an official state dict, with weight_g and weight_v.
        config: what the official config.json says.
    """

    def __init__(self, state, config):
        self.state = {key: tensor.double() for key, tensor in state.items()}
        self.config = config

    def weight(self, name):
        g, v = self.state[f"{name}.weight_g"], self.state[f"{name}.weight_v"]
        return v * (g / v.pow(2).sum((1, 2), keepdim=True).sqrt())

    def conv(self, hidden, name, stride=1, dilation=1):
        """ "Same" padding for odd kernels; kernels of two strides take ceil(stride / 2)."""
        weight = self.weight(name)
        width = weight.shape[2]
        padding = width // 2 * dilation if width % 2 else math.ceil(stride / 2)
        groups = hidden.shape[0] // weight.shape[1]
        bias = self.state.get(f"{name}.bias")
        padded = pad(hidden, (padding, padding))[None]
        return conv1d(padded, weight, bias, stride, dilation=dilation, groups=groups)[0]

    def up(self, hidden, name, stride):
        """Transposed: all of its output, and cut to `stride` samples per frame."""
        out = conv_transpose1d(hidden[None], self.weight(name), stride=stride)[0]
        left = math.ceil(stride / 2)
        cut = out[:, left : left + hidden.shape[1] * stride]
        return cut + self.state[f"{name}.bias"][:, None]

    def snake(self, hidden, name):
        alpha = self.state[f"{name}.alpha"][0]
        return hidden + torch.sin(alpha * hidden) ** 2 / (alpha + 1e-9)

    def units(self, hidden, prefix, first):
        for index, dilation in enumerate((1, 3, 9)):
            name = f"{prefix}.block.{first + index}.block"
            inner = self.conv(self.snake(hidden, f"{name}.0"), f"{name}.1", dilation=dilation)
            hidden = hidden + self.conv(self.snake(inner, f"{name}.2"), f"{name}.3")
        return hidden

    def attention(self, hidden, name):
        """Every window, every head and every query one after another."""
        size, frames = self.config["attn_window_size"], hidden.T
        norm = layer_norm(
            frames, frames.shape[1:], self.state[f"{name}.norm.weight"],
            self.state[f"{name}.norm.bias"],
        )  # fmt: skip
        qkv = norm @ self.state[f"{name}.to_qkv.weight"].T
        out = torch.zeros_like(frames)
        for start in range(0, len(frames), size):
            for head in range(frames.shape[1] // 64):
                query, key, value = (
                    part[start : start + size, 64 * head : 64 * head + 64]
                    for part in qkv.chunk(3, dim=1)
                )
                scores = turn(query) @ turn(key).T / 8
                out[start : start + size, 64 * head : 64 * head + 64] = scores.softmax(1) @ value
        return hidden + (out @ self.state[f"{name}.to_out.weight"].T).T

    def encode(self, waveform):
        """Waveform (L,) -> latents (D, T) and the codes of each codebook, at its own rate."""
        rates, strides = self.config["encoder_rates"], self.config["vq_strides"]
        window = self.config["attn_window_size"]
        unit = math.prod(rates) * math.lcm(strides[0], window or 1)
        hidden = pad(waveform.double(), (0, -len(waveform) % unit))[None]
        hidden, index = self.conv(hidden, "encoder.block.0"), 1
        for rate in rates:
            name = f"encoder.block.{index}"
            hidden = self.snake(self.units(hidden, name, 0), f"{name}.block.3")
            hidden, index = self.conv(hidden, f"{name}.block.4", stride=rate), index + 1
        if window:
            hidden, index = self.attention(hidden, f"encoder.block.{index}"), index + 1
        latents = self.conv(hidden, f"encoder.block.{index}")
        residual, codes = latents, []
        for index, stride in enumerate(strides):
            name = f"quantizer.quantizers.{index}"
            pooled = residual.unflatten(1, (-1, stride)).mean(2)
            rows = self.conv(pooled, f"{name}.in_proj").T
            codebook = self.state[f"{name}.codebook.weight"]
            cosine = rows @ codebook.T / codebook.norm(dim=1)
            codes.append(cosine.argmax(1))
            found = self.conv(codebook[codes[-1]].T, f"{name}.out_proj")
            residual = residual - found.repeat_interleave(stride, 1)
        return latents, codes

    def decode(self, codes, noise):
        """Codes (T,) of each codebook, repeated to the finest rate, and noise -> waveform (L,)."""
        quantizer, hidden = "quantizer.quantizers", 0
        for index, found in enumerate(codes):
            rows = self.state[f"{quantizer}.{index}.codebook.weight"][found]
            hidden = hidden + self.conv(rows.T, f"{quantizer}.{index}.out_proj")
        hidden, index = self.conv(hidden, "decoder.model.0"), 1
        if self.config["depthwise"]:
            hidden, index = self.conv(hidden, "decoder.model.1"), 2
        if self.config["attn_window_size"]:
            hidden, index = self.attention(hidden, f"decoder.model.{index}"), index + 1
        noise = iter(noise)
        for rate in self.config["decoder_rates"]:
            name = f"decoder.model.{index}"
            hidden = self.up(self.snake(hidden, f"{name}.block.0"), f"{name}.block.1", rate)
            first = 2
            if self.config["noise"]:
                hidden = hidden + next(noise) * self.conv(hidden, f"{name}.block.2.linear")
                first = 3
            hidden, index = self.units(hidden, name, first), index + 1
        hidden = self.snake(hidden, f"decoder.model.{index}")
        return self.conv(hidden, f"decoder.model.{index + 1}")[0].tanh()


def turn(vectors):
    """Each pair (i, i + 32) of the 64 channels as a complex number, turned by its position."""
    positions = torch.arange(len(vectors)).double()[:, None]
    angles = positions / 10000 ** (torch.arange(32).double() / 32)
    turned = torch.complex(vectors[:, :32], vectors[:, 32:]) * torch.polar(
        torch.ones_like(angles), angles
    )
    return torch.cat([turned.real, turned.imag], 1)
