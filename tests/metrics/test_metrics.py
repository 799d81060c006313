"""Finding metrics, bringing a pair together, what every metric promises."""

import dataclasses
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

import audiotok
from audiotok import metrics
from audiotok.errors import AudioError, MetricError, MissingPackageError
from audiotok.metrics import Column, Metric
from audiotok.metrics._check import check_metric, noisy, voice
from audiotok.sound.audio import Audio, write


def test_all_metrics_are_found():
    known = (
        "alignment bandwidth ci_sdr f0 loudness mcd mel_distance pesq sdr si_sdr stft_distance stoi"
    )
    assert {*known.split(), "visqol", "visqol_speech", "voicing"} <= set(metrics.names())
    assert [metric.name for metric in metrics.list_metrics()] == metrics.names()
    columns = [column.name for metric in metrics.list_metrics() for column in metric.all_columns]
    assert len(columns) == len(set(columns))


@pytest.mark.parametrize("name", metrics.names())
def test_every_metric_keeps_its_promises(name):
    if metrics.get(name).missing():
        pytest.skip(f"{name} needs a package that is not installed")
    check_metric(metrics.get(name))


def _gain(reference, reconstruction):
    return {"gain": float(reconstruction.waveform.norm() / reference.waveform.norm())}


def _random(reference, reconstruction):
    return {"gain": np.random.default_rng().random()}


def _fragile(reference, reconstruction):
    return {"gain": 1 / int(100 * float(reference.waveform.abs().max()))}


@pytest.mark.parametrize(
    ("compute", "better", "message"),
    [
        (lambda a, b: {"gain": 1.0}, None, "cannot travel to worker processes"),
        (_random, None, "other numbers twice"),
        (_gain, False, None),
        (_gain, True, "gives gain ="),
        (_fragile, None, "raises ZeroDivisionError on silence"),
    ],
)
def test_check_metric_names_the_broken_promise(compute, better, message):
    metric = Metric("gain", 1, (Column("gain", "", better, 2, "level"),), compute)
    if message is None:
        check_metric(metric)
    else:
        with pytest.raises(MetricError, match=message):
            check_metric(metric)


def test_a_number_that_is_not_finite_is_an_error():
    silence = Audio(torch.zeros(1, 100), 16_000)
    metric = Metric("gain", 1, (Column("gain", "", None, 2, "level"),), _gain)
    with pytest.raises(MetricError, match="^gain has no value: gain = nan, not a finite number$"):
        metric(silence, silence)


def test_check_metric_notices_missing_columns():
    column = Column("other", "", None, 2, "never filled")
    with pytest.raises(MetricError, match=re.escape("fills ['gain'], not ['other']")):
        check_metric(Metric("gain", 1, (column,), _gain))
    column = Column("gain", "", None, 2, "level")
    with pytest.raises(MetricError, match=re.escape("names ['grain'] in at_16k")):
        check_metric(Metric("gain", 1, (column,), _gain, at_16k=("grain",)))


def test_compute_takes_paths_audio_and_arrays(tmp_path):
    clean = voice(16_000, 1)
    rough = noisy(clean, 0.02)
    write(tmp_path / "clean.wav", clean, subtype="FLOAT")
    write(tmp_path / "rough.wav", rough, subtype="FLOAT")
    names = ["mel_distance", "si_sdr", "stoi"]
    by_audio = audiotok.metrics.compute(names, reference=clean, reconstruction=rough)
    by_path = metrics.compute(
        names, reference=tmp_path / "clean.wav", reconstruction=str(tmp_path / "rough.wav")
    )
    arrays = [(audio.waveform[0].numpy(), 16_000) for audio in (clean, rough)]
    by_array = metrics.compute(names, reference=arrays[0], reconstruction=arrays[1])
    assert by_audio == by_path == by_array
    assert metrics.compute("stoi", reference=clean, reconstruction=rough).keys() == {
        "stoi",
        "estoi",
    }


def test_unknown_metric_says_what_was_meant():
    with pytest.raises(MetricError) as error:
        metrics.compute(["stio"], reference=voice(16_000, 1), reconstruction=voice(16_000, 1))
    assert str(error.value).startswith("no metric is named 'stio'; did you mean 'stoi'? there are:")


def test_different_durations_are_refused():
    sound = voice(16_000, 1)
    cut = Audio(sound.waveform[:, : -1600 - 16], 16_000)
    with pytest.raises(MetricError) as error:
        metrics.pair(sound, cut)
    assert str(error.value) == (
        "the reference lasts 2.000 s, the reconstruction 1.899 s; "
        "they must agree within 100 ms: cut or align them first"
    )
    reference, reconstruction = metrics.pair(sound, Audio(sound.waveform[:, :-1599], 16_000))
    assert reference.num_samples == reconstruction.num_samples == 32_000 - 1599


def test_the_reference_keeps_its_rate_and_channels():
    reference, reconstruction = metrics.pair(voice(44_100, 2), voice(16_000, 1))
    assert (reference.sample_rate, reference.channels) == (44_100, 2)
    assert (reconstruction.sample_rate, reconstruction.channels) == (44_100, 2)
    assert reference.waveform.equal(voice(44_100, 2).waveform)
    assert reference.num_samples == reconstruction.num_samples


def test_lost_bandwidth_costs_at_the_references_rate_only():
    """A 16 kHz codec loses the band above 8 kHz of a 48 kHz sound, and must be charged for it."""
    generator = torch.Generator().manual_seed(1)
    noise = Audio(0.1 * torch.randn(1, 48_000, generator=generator), 48_000)
    lost = metrics.compute(
        ["mel_distance", "stft_distance"], reference=noise, reconstruction=noise.resample(16_000)
    )
    assert lost["mel_distance"] > 4 * lost["mel_distance_16k"]
    assert lost["stft_distance"] > 4 * lost["stft_distance_16k"]


def test_columns_of_both_rates_are_what_the_metric_says_of_both():
    clean, rough = voice(44_100, 1), noisy(voice(44_100, 1), 0.01)
    chosen = [metric for metric in metrics.list_metrics() if metric.at_16k]
    names = {metric.name for metric in chosen}
    assert {"mel_distance", "stft_distance", "si_sdr", "sdr", "ci_sdr", "mcd", "bandwidth"} <= names
    row = metrics.measure(chosen, clean, rough)
    limited = clean.resample(16_000), rough.resample(16_000)
    for metric in chosen:
        assert set(metric.at_16k) <= {column.name for column in metric.columns}
        assert metric(clean, rough).items() <= row.items()
        expected = {f"{k}_16k": v for k, v in metric(*limited).items() if k in metric.at_16k}
        assert expected.items() <= row.items()
    assert row.keys() == {column.name for metric in chosen for column in metric.all_columns}


def test_at_16k_nothing_is_computed_twice():
    calls = []

    def compute(reference, reconstruction):
        calls.append(reference.sample_rate)
        return {"level": float(reference.waveform.abs().max()), "constant": 1.0}

    columns = Column("level", "", None, 2, "peak"), Column("constant", "", None, 2, "one")
    metric = Metric("level", 1, columns, compute, at_16k=("level",))
    assert [column.name for column in metric.all_columns] == ["level", "constant", "level_16k"]
    sound = voice(16_000, 1)
    row = metrics.measure([metric], sound, sound)
    assert row["level"] == row["level_16k"]
    assert calls == [16_000]
    assert metrics.measure([metric], *[voice(24_000, 1)] * 2).keys() == row.keys()
    assert calls == [16_000, 24_000, 16_000]
    assert metrics.measure([metric], *[voice(8_000, 1)] * 2).keys() == {"level", "constant"}
    assert calls == [16_000, 24_000, 16_000, 8_000]


def test_one_rate_that_fails_leaves_the_other():
    """1400 samples at 24 kHz are 934 at 16 kHz: too few for a filter of 512 taps."""
    short = Audio(voice(24_000, 1).waveform[:, 4000:5400], 24_000)
    row = metrics.measure([metrics.get("sdr")], short, noisy(short, 0.01))
    assert isinstance(row["sdr"], float)
    assert isinstance(row["sdr_16k"], MetricError)
    with pytest.raises(MetricError, match="sdr has no value"):
        metrics.compute("sdr", reference=short, reconstruction=noisy(short, 0.01))


PERFECT = {  # of a codec that returns its input; other columns describe the reference
    "correlation": 1, "gain_db": 0, "lag_ms": 0, "polarity": 1,
    "lsd": 0, "mcd": 0, "mel_distance": 0, "stft_distance": 0, "loudness_difference": 0,
    "sdr": 100, "sdr_aligned": 100, "ci_sdr": 100, "ci_sdr_aligned": 100,
    "si_sdr": 100, "si_sdr_aligned": 100,
    "pesq": 4.644, "stoi": 1, "estoi": 1, "visqol": 4.732, "visqol_speech": 4.532,
    "f0_correlation": 1, "voicing_error": 0, "voicing_f1": 1,
}  # fmt: skip


def test_a_codec_that_returns_its_input_is_perfect():
    chosen = [m for m in metrics.list_metrics() if m.missing() is None]
    for rate in (16_000, 24_000):
        sound = voice(rate, 1)
        row = metrics.measure(chosen, sound, sound)
        for name, value in row.items():
            name = name.removesuffix("_16k")
            if name in PERFECT:
                tolerance = 0.01 if name.startswith("visqol") else 1e-3
                assert value == pytest.approx(PERFECT[name], abs=tolerance), name
        assert row["bandwidth_kept"] == row["bandwidth_reference"]
        assert row["loudness"] == row["loudness_reference"]
    assert PERFECT.keys() <= {c.name for m in metrics.list_metrics() for c in m.columns}


def test_stereo_is_the_mean_of_both_channels():
    clean = voice(16_000, 2)
    rough = noisy(clean, 0.01)
    apart = [m for m in metrics.list_metrics() if m.missing() is None]
    apart = [m for m in apart if m.name not in ("alignment", "loudness", "visqol", "visqol_speech")]
    both = metrics.measure(apart, clean, rough)
    alone = [
        metrics.measure(apart, *(Audio(a.waveform[c : c + 1], 16_000) for a in (clean, rough)))
        for c in (0, 1)
    ]
    for name, value in both.items():
        assert value == pytest.approx((alone[0][name] + alone[1][name]) / 2, rel=1e-9), name


def test_not_finite_sounds_are_refused():
    sound = voice(16_000, 1).waveform[0].clone()
    sound[5] = float("nan")
    with pytest.raises(AudioError):
        metrics.compute("stoi", reference=(sound, 16_000), reconstruction=(sound, 16_000))


def test_a_missing_package_names_the_command():
    metric = dataclasses.replace(
        metrics.get("pesq"), packages=("a_package_nobody_has",), extra="bench"
    )
    with pytest.raises(MissingPackageError, match=r"pip install 'audiotok\[bench\]'"):
        metric(voice(16_000, 1), voice(16_000, 1))


def test_a_folder_of_its_name_is_no_package(tmp_path, monkeypatch):
    """What an uninstalled package leaves behind, caches say, can be imported but holds nothing."""
    (tmp_path / "a_package_nobody_has").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    metric = dataclasses.replace(metrics.get("pesq"), packages=("a_package_nobody_has",))
    assert isinstance(metric.missing(), MissingPackageError)


def test_listing_metrics_imports_neither_torch_nor_their_packages():
    code = (
        "import sys; from audiotok import metrics, tasks; metrics.list_metrics(); "
        "print([m for m in ('torch', 'pesq', 'pystoi', 'librosa') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_worker_processes_give_the_same_bits():
    clean, rough = voice(24_000, 1), noisy(voice(24_000, 1), 0.01)
    chosen = [m for m in metrics.list_metrics() if m.missing() is None]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = [pool.submit(m, *metrics.pair(clean, rough)).result() for m in chosen]
    assert there == [m(*metrics.pair(clean, rough)) for m in chosen]
