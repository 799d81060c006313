"""Small models of ResGen with random weights, and clips for them."""

import torch

from audiotok.tts.resgen.model import ResGen, ResGenConfig, condition_of


def codebooks_of(depth, size=8, latents=3):
    """Codewords (D, V, H) that shrink with depth."""
    generator = torch.Generator().manual_seed(5)
    words = torch.randn(depth, size, latents, generator=generator)
    return words * 0.8 ** torch.arange(depth)[:, None, None]


def model_of(seed=0, *, depth=4, size=8, latents=3, **settings):
    """A model whose weights are all random, also those that start at 0."""
    torch.manual_seed(seed)
    config = ResGenConfig(**{
        "depth": depth, "codebook_size": size, "latents": latents, "phones": 9, "dimension": 8,
        "heads": 2, "layers": 2, "text_layers": 1, "components": 5, "rank": 2,
    } | settings)  # fmt: skip
    model = ResGen(config)
    for name, parameter in model.named_parameters():
        if name != "head":  # of tokens
            torch.nn.init.normal_(parameter, std=0.5)
    model.set_codec(codebooks_of(depth, size, latents), torch.linspace(1.7, 0.4, depth))
    return model.eval()


def clips(depth=4, size=8):
    """Codes (3, D, T), their condition, and each clip as (phones, durations, prompt frames)."""
    raw = [([9, 3, 4], [4, 2, 3], 4), ([1, 2, 3, 8, 5], [1, 2, 1, 3, 4], 3), ([7], [6], 0)]
    condition = condition_of(*([clip[part] for clip in raw] for part in range(3)))
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, size, (3, depth, 11), generator=generator)
    return codes, condition, raw
