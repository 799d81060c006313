"""Discriminators: networks that learn to tell reconstructions from real sound.

Each is a set of sub-discriminators; called on a waveform (B, C, L) it gives one pair (logits,
feature maps) for each of them, the input of `nn.adversarial`. Sizes are the published ones;
`channels` makes them smaller. Those of WavTokenizer and Vocos add an embedding of a condition to
the logits; it is omitted here, because WavTokenizer draws that condition at random.
"""

from audiotok.nn.discriminators.bands import MultiBandDiscriminator
from audiotok.nn.discriminators.base import DiscriminatorOutput, DiscriminatorSet
from audiotok.nn.discriminators.periods import MultiPeriodDiscriminator
from audiotok.nn.discriminators.resolutions import MultiResolutionDiscriminator
from audiotok.nn.discriminators.scales import MultiScaleDiscriminator

DISCRIMINATORS = {
    "multi_period": MultiPeriodDiscriminator,
    "multi_resolution": MultiResolutionDiscriminator,
    "multi_band": MultiBandDiscriminator,
    "multi_scale": MultiScaleDiscriminator,
}

__all__ = [
    "DISCRIMINATORS",
    "DiscriminatorSet",
    "DiscriminatorOutput",
    "MultiBandDiscriminator",
    "MultiPeriodDiscriminator",
    "MultiResolutionDiscriminator",
    "MultiScaleDiscriminator",
]
