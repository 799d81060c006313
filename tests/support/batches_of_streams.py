"""Compares `codec.stream(batch=n)` with n single streams, under pauses, resets and ends."""

import numpy as np
import torch


def sounds(codec, count, frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, codec.card.channels, frames * codec.hop_length)
    return 0.3 * torch.randn(shape, generator=generator)


def assert_equals_single_streams(codec, batch, turns, most=4, seed=0):
    """Chunks of random lengths, pauses, resets and ends; every item against its own stream."""
    chance = np.random.default_rng(seed)
    waveforms = sounds(codec, batch, turns * most, seed)
    singles = [codec.stream() for _ in range(batch)]
    at, joined = [0] * batch, 0
    with codec.stream(batch=batch) as streams:
        for _ in range(turns):
            reset = chance.random(batch) < 0.15
            mask = (chance.random(batch) < 0.75).tolist()
            last = (chance.random(batch) < 0.1).tolist()
            steps = chance.integers(0, most, batch) if chance.random() < 0.5 else [most - 1] * batch
            streams.reset(reset)
            chunks = []
            for item in range(batch):
                if reset[item] or singles[item].encoder.ended:
                    streams.reset([item])
                    singles[item] = codec.stream()
                stop = at[item] + int(steps[item]) * codec.hop_length
                chunks.append(waveforms[item, :, at[item] : stop])
                at[item] = stop if mask[item] else at[item]
            codes = streams.encode(chunks, mask=mask, last=last)
            decoded = streams.decode(codes, mask=mask, last=last)
            joined += len(streams._groups["encoder"].groups) < batch
            for item in range(batch):
                if not mask[item]:
                    assert codes[item].shape[-1] == decoded[item].shape[-1] == 0
                    continue
                expected = singles[item].encode(chunks[item], last=last[item])
                assert torch.equal(codes[item], expected)
                sound = singles[item].decode(expected, last=last[item])
                assert decoded[item].shape == sound.shape
                peak = max(1e-3, float(sound.abs().max())) if sound.numel() else 1
                torch.testing.assert_close(decoded[item], sound, rtol=0, atol=1e-5 * peak)
        streams.reset()
    return joined
