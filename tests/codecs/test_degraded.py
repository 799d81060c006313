"""Degradations are as large as their names say, and the same every time."""

import numpy as np
import pytest
import torch

import audiotok
from audiotok.errors import CodecError
from audiotok.metrics._check import voice
from audiotok.sound.audio import Audio
from audiotok.tokens import Tokens


@pytest.mark.parametrize("ratio", [20, 10, 0])
def test_noise_is_of_that_ratio(ratio):
    codec = audiotok.load(f"noise-{ratio}db")
    quiet = Audio(0.2 * voice(16_000, 1).waveform, 16_000)
    noise = codec.reconstruct(quiet).waveform - quiet.waveform
    result = 10 * torch.log10(quiet.waveform.square().mean() / noise.square().mean())
    assert float(result) == pytest.approx(ratio, abs=0.01)
    spectrum = torch.fft.rfft(noise[0]).abs().square()
    low, high = spectrum.chunk(2)
    assert float(low.mean() / high[: len(low)].mean()) == pytest.approx(1, abs=0.05)  # white
    assert codec.encode(quiet).to_bytes() == codec.encode(quiet).to_bytes()
    longer = Audio(torch.nn.functional.pad(quiet.waveform, (0, 1)), 16_000)
    assert not torch.allclose(codec.reconstruct(longer).waveform[:, :-1], quiet.waveform + noise)


@pytest.mark.parametrize("khz", [4, 2, 1])
def test_nothing_above_the_cutoff_and_all_below(khz):
    codec = audiotok.load(f"lowpass-{khz}k")
    generator = torch.Generator().manual_seed(0)
    sound = Audio(0.1 * torch.randn(1, 32_000, generator=generator), 16_000)
    before, after = (
        torch.fft.rfft(audio.waveform[0].double() * torch.hann_window(32_000, dtype=torch.float64))
        for audio in (sound, codec.reconstruct(sound))
    )
    hertz = torch.arange(16_001) / 2
    below, above = hertz < 1000 * khz - 50, hertz > 1000 * khz + 50
    assert float((after - before)[below].norm() / before[below].norm()) < 0.01  # also the phase
    assert float(after[above].norm() / before[above].norm()) < 0.005


def test_the_tokens_are_bytes_of_pcm():
    tokens = audiotok.load("lowpass-4k").encode(voice(16_000, 1))
    pcm = tokens.codes[0, 0].numpy().astype(np.uint8).view("<i2")
    assert len(pcm) == 32_000
    assert tokens.bitrate == pytest.approx(256_000)
    decoded = audiotok.load("lowpass-4k").decode(tokens)
    assert (decoded.waveform[0].numpy() * 2**15).tolist() == pcm.tolist()


def test_half_a_sample_and_weights_are_refused(tmp_path):
    codec = audiotok.load("noise-20db")
    three = torch.zeros(1, 1, 3, dtype=torch.int64)
    odd = Tokens(three, "noise-20db", codec.fingerprint, 1, 16_000, (256,))
    with pytest.raises(CodecError, match="3 bytes are no 16-bit PCM"):
        codec.decode(odd)
    with pytest.raises(CodecError, match="has no weights"):
        (tmp_path / "weights.safetensors").touch()
        audiotok.load("noise-20db", checkpoint=tmp_path / "weights.safetensors")
