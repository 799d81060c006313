"""Small networks of ResGen with random weights, and clips for them."""

import torch

from audiotok.tts.base import Codes
from audiotok.tts.resgen.network import Network, NetworkConfig, condition_of


def codes_of(depth=4, size=8, codec="random", fingerprint="0" * 64):
    """What a model of `depth` codebooks speaks."""
    return Codes(codec, fingerprint, (size,) * depth, (1,) * depth, 10.0)


def codebooks_of(depth, size=8, latents=3):
    """Codewords (D, V, H) that shrink with depth."""
    generator = torch.Generator().manual_seed(5)
    words = torch.randn(depth, size, latents, generator=generator)
    return words * 0.8 ** torch.arange(depth)[:, None, None]


def nested_codebooks(depth):
    """Codewords (D, 8, 3) with one nearest code for every sum of codewords: binary fractions."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    return signs * 0.5 ** torch.arange(depth)[:, None, None]


def network_of(seed=0, *, depth=4, size=8, **settings):
    """A network whose weights are all random, also those that start at 0."""
    torch.manual_seed(seed)
    config = NetworkConfig(**{
        "latents": 3, "dimension": 8, "heads": 2, "layers": 2, "text_layers": 1, "components": 5,
        "rank": 2,
    } | settings)  # fmt: skip
    network = Network(config, codes_of(depth, size))
    for name, parameter in network.named_parameters():
        if name != "head":  # of tokens
            torch.nn.init.normal_(parameter, std=0.5)
    network.set_codec(codebooks_of(depth, size), torch.linspace(1.7, 0.4, depth))
    return network.eval()


def condition(*clips):
    """Of clips, each as (phones, durations, prompt frames)."""
    phones, durations, prompts = zip(*clips, strict=True)
    return condition_of(
        list(map(torch.tensor, phones)), list(map(torch.tensor, durations)), prompts
    )


def clips(depth=4, size=8):
    """Codes (3, D, T), their condition, and each clip as (phones, durations, prompt frames)."""
    raw = [([0, 3, 4], [4, 2, 3], 4), ([5, 2, 3, 8, 5], [1, 2, 1, 3, 4], 3), ([7], [6], 0)]
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, size, (3, depth, 11), generator=generator)
    return codes, condition(*raw), raw
