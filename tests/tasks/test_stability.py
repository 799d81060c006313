"""Edit distances by hand, perturbations at their levels, codecs whose stability is known."""

import numpy as np
import pytest
import torch
from support.plain_codecs import CONSTANT, COPY, NOISE

from audiotok.data import Clip, _noise
from audiotok.errors import MetricError
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, _perturbations, get
from audiotok.tasks.stability import agreement, ued


def _sound(seconds=2.0, sample_rate=8000, seed=0):
    """Noise whose loudness changes, on a grid of 8 bits."""
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randn(1, int(seconds * sample_rate), generator=generator)
    envelope = torch.linspace(0.02, 0.2, samples.shape[1])
    return Audio((samples * envelope * 128).round().clamp(-127, 127) / 128, sample_rate)


def _row(codec, sound):
    task, tokens = get("stability"), codec.encode(sound)
    observed = task.observe(codec, sound, tokens)
    item = Item(
        Clip("a"), sound, codec.decode(tokens, sound.sample_rate), tokens, observed=observed
    )
    row = task.score(item)
    assert set(row) <= {column.name for column in task.columns}
    return row


@pytest.mark.parametrize(
    ("one", "other", "edits"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 0),
        ([1, 2, 3, 4], [1, 9, 3, 4], 1),
        ([1, 2, 3, 4], [2, 3, 4], 1),
        ([1, 2, 3, 4], [2, 3, 4, 5], 2),
        ([1, 2, 3, 4], [4, 3, 2, 1], 4),
        ([1, 2], [7, 8, 9, 70_000], 4),
    ],
)
def test_edit_distance_by_hand(one, other, edits):
    assert ued(np.array([one]), np.array([other])) == edits / len(one)


def test_channels_count_together():
    assert ued(np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 9]])) == 1 / 4


def test_agreement_by_hand():
    one = [np.array([[1, 2, 3, 4]]), np.array([[1, 1]])]
    other = [np.array([[1, 2, 0, 4, 9]]), np.array([[0, 1]])]
    assert agreement(one, other) == (3 / 4 + 1 / 2) / 2


@pytest.mark.parametrize(("kind", "slope"), [("white", 0), ("pink", -1), ("brown", -2)])
def test_colours_of_noise(kind, slope):
    noise = _noise.coloured(kind, (2, 2**17), np.random.default_rng(0))
    power = np.abs(np.fft.rfft(noise)[:, 1:]) ** 2
    octaves = 2 ** np.arange(4, 16)
    levels = [np.log2(power[:, low : 2 * low].mean()) for low in octaves]
    assert np.polyfit(np.log2(octaves), levels, 1)[0] == pytest.approx(slope, abs=0.1)
    assert abs(noise.mean()) < 1e-9


@pytest.mark.parametrize("name", ["white", "pink", "brown", "background"])
def test_noise_is_as_loud_as_it_says(name):
    sound = _sound()
    changed = _perturbations.PERTURBATIONS[name](sound, _perturbations.generator(sound, name))
    noise = changed.waveform.double() - sound.waveform
    snr = 10 * torch.log10(sound.waveform.double().square().mean() / noise.square().mean())
    assert float(snr) == pytest.approx(20, abs=0.01)


def test_other_changes():
    sound = _sound(0.5)
    assert (
        len(
            _perturbations.crushed(Audio(torch.linspace(-1, 1, 9999)[None], 8000)).waveform.unique()
        )
        == 257
    )
    assert _perturbations.louder(sound, 6.0).waveform.std() / sound.waveform.std() == pytest.approx(
        1.995, abs=1e-3
    )
    back = _perturbations.resampled(sound)
    assert back.num_samples == sound.num_samples and not back.waveform.equal(sound.waveform)
    early = _perturbations.shifted(sound).waveform
    assert early[:, :-16].equal(sound.waveform[:, 16:]) and not early[:, -16:].any()
    for change in (_perturbations.PERTURBATIONS | _perturbations.CHANGES).values():
        again = [change(sound, _perturbations.generator(sound, "x")).waveform for _ in range(2)]
        assert again[0].equal(again[1]) and again[0].shape == sound.waveform.shape


def test_a_codec_that_always_says_the_same_is_perfectly_stable():
    for name, value in _row(CONSTANT, _sound()).items():
        assert value == (0 if name.startswith("ued") else 1), name


def test_a_codec_of_pure_noise_is_as_far_from_itself_as_chance():
    row = _row(NOISE, _perturbations.louder(_sound(10.0), -1.0))  # off the grid: 8 bits change it
    # random binary sequences lie 0.29 edits per code apart, those of 1024 codes nearly 1
    assert row["ued_first"] == pytest.approx(0.995, abs=0.005)
    assert 2 * row["ued"] - row["ued_first"] == pytest.approx(0.29, abs=0.03)
    for name in ("shift_agreement", "slice_agreement", "reencode_agreement_10"):
        assert row[name] == pytest.approx((1 / 1024 + 1 / 2) / 2, abs=0.05)


def test_a_codec_that_copies_comes_back_the_same():
    row = _row(COPY, _sound())
    for name in ("slice_agreement", "slice_agreement_inside", "reencode_agreement_1",
                 "reencode_agreement_10", "reencode_agreement_first"):  # fmt: skip
        assert row[name] == 1
    assert row["ued_crush"] == 0  # the sound has 8 bits
    assert row["ued_shifted"] == 2 * 16 / 16_000  # 16 samples go, 16 of silence come
    assert row["ued_white"] > 0.3 and row["shift_agreement"] < 0.3


def test_bytes_have_no_frames():
    import audiotok

    row = _row(audiotok.load("opus-6k"), _sound(1.0))
    assert 0 < row["ued"] <= 1 and not any("agreement" in name for name in row)


def test_silence_and_scraps():
    row = _row(CONSTANT, Audio(torch.zeros(1, 4000), 8000))
    assert isinstance(row["ued"], MetricError) and isinstance(row["ued_white"], MetricError)
    assert row["ued_codec"] == 0 and row["shift_agreement"] == 1
    scrap = _row(CONSTANT, _sound(0.015))
    assert "slice_agreement" not in scrap and scrap["ued_first"] == 0
    assert get("stability").score(Item(Clip("a"), _sound(), _sound())) == {}
