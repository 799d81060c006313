"""Discriminators with the weights of official ones, and whether they judge alike."""

import torch


def give_weights(official, ours):
    """Random gains and biases in `official`, the same weights in `ours`, in the same order."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for theirs, mine in zip(official.parameters(), ours.parameters(), strict=True):
            assert theirs.shape == mine.shape
            theirs.mul_(0.5 + torch.rand(theirs.shape, generator=generator))
            mine.copy_(theirs)


def speech_like(samples, batch=2, seed=0):
    """Waveform (B, 1, L): harmonics that glide under an envelope, some noise, an offset."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / 16000
    pitch = torch.rand(batch, 1, generator=generator) * 100 + 100
    phase = 2 * torch.pi * (pitch * time + 40 * time**2)
    voice = sum(torch.sin(k * phase) / k for k in range(1, 12)) * (1 + torch.sin(9 * time)) / 8
    return (voice + 0.01 * torch.randn(batch, samples, generator=generator) + 0.02)[:, None]


def assert_judge_alike(ours, theirs):
    """Equal maps and logits, each to 1e-5 of its peak; `theirs` are pairs (logits, maps)."""
    assert len(ours) == len(theirs)
    for (logits, maps), (their_logits, their_maps) in zip(ours, theirs, strict=True):
        assert len(maps) == len(their_maps)
        pairs = zip([logits, *maps], [their_logits, *their_maps], strict=True)
        for one, other in pairs:
            assert one.numel() == other.numel() > 0
            other = other.reshape(one.shape)
            assert (one - other).abs().max() <= 1e-5 * other.abs().max()
