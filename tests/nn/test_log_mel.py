"""Whisper's spectrogram against transformers' own, and the gradient through it."""

import pytest
import torch

from audiotok.nn.log_mel import LogMel, fit

transformers = pytest.importorskip("transformers")


@pytest.fixture
def sound():
    generator = torch.Generator().manual_seed(0)
    waveform = 0.1 * torch.randn(2, 48_000, generator=generator)
    waveform[1] *= 0.01
    waveform[0, 20_000:30_000] = 0
    return waveform


@pytest.mark.parametrize("num_mels", [80, 128])
def test_it_equals_the_extractor_of_transformers(num_mels, sound):
    extractor = transformers.WhisperFeatureExtractor(num_mels, chunk_length=4)
    official = extractor(list(sound.numpy()), sampling_rate=16000, return_tensors="pt")
    ours = LogMel(num_mels)(fit(sound, extractor.n_samples))
    assert ours.shape == (2, num_mels, 400)
    torch.testing.assert_close(ours, official["input_features"], rtol=1e-4, atol=1e-4)


def test_the_floor_is_that_of_the_clip_or_of_the_batch(sound):
    """openai-whisper takes the loudest of all that it is given."""
    clip = LogMel()
    batch = lambda waveform: clip(waveform, "batch")  # noqa: E731
    torch.testing.assert_close(clip(sound)[:1], batch(sound[:1]))
    torch.testing.assert_close(batch(sound)[0], clip(sound)[0])  # the louder one
    # log10 of power is 4 times what comes out, less 4: 8 below the loudest is 2
    assert batch(sound)[1].min() == pytest.approx(clip(sound)[0].max().item() - 2)
    assert clip(sound)[1].min() < clip(sound)[0].max() - 2


def test_gradients_reach_the_sound(sound):
    waveform = sound.double().requires_grad_()
    mel = LogMel().double()
    weights = torch.randn(
        2, 80, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    (mel(waveform) * weights).sum().backward()
    step = 1e-6
    for place in ((0, 5000), (1, 40_000)):
        moved = waveform.detach().clone()
        moved[place] += step
        change = ((mel(moved) - mel(waveform.detach())) * weights).sum() / step
        assert change.item() == pytest.approx(waveform.grad[place].item(), rel=1e-3)
