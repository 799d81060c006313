"""Rooms, speeds and levels of crops, and the shares of several corpora in each batch."""

import os

import numpy as np
import pytest
import soundfile
import torch
from support.training_kit import TINY, write_corpus, write_recipe

from audiotok.errors import CorpusError, RecipeError
from audiotok.training import export, load_recipe, sounds
from audiotok.training.augmentation import mix, reverberate, room_response
from audiotok.training.crops import Crops
from audiotok.training.index import make_index
from audiotok.training.settings import DataConfig, RoomConfig

RATE = 8000


def crops_of(settings, seed=0, numbers=None):
    corpus = sounds.load_all(settings)
    index = make_index(corpus, range(len(corpus.ids)) if numbers is None else numbers)
    return Crops(corpus, index, settings, sample_rate=RATE, channels=1, seed=seed)


def settings_of(corpus, **settings):
    return DataConfig(corpus=str(corpus), crop_seconds=0.25, batch_size=4, **settings)


@pytest.fixture(scope="module")
def constants(tmp_path_factory):
    """Corpora of constant sound: 0.1 in the first, 0.2 in the second, 0.3 in the third."""
    folders = []
    for number in (1, 2, 3):
        folder = tmp_path_factory.mktemp(f"c{number}")
        for speaker in range(3):
            sound = np.full(RATE * number, number / 10)
            soundfile.write(folder / f"{speaker}{number}.wav", sound, RATE, subtype="FLOAT")
        folders.append(folder)
    return folders


def test_each_batch_has_the_shares(constants):
    more = [
        {"corpus": str(folder), "share": share}
        for folder, share in zip(constants[1:], (0.5, 0.25), strict=True)
    ]
    crops = crops_of(settings_of(constants[0], additional=more))
    levels = [round(crops[i].waveform[0, 0].item(), 1) for i in range(12)]
    assert levels == [0.1, 0.2, 0.2, 0.3] * 3
    again = crops_of(settings_of(constants[0], additional=more))
    assert torch.equal(crops[5].waveform, again[5].waveform)


def test_mixing_takes_the_other_sound_from_all_corpora(constants):
    settings = settings_of(
        constants[0],
        additional=[{"corpus": str(constants[1]), "share": 0.5}],
        mixing={"probability": 1.0, "snr_db": (0.0, 0.0)},
    )
    crops = crops_of(settings)
    assert [round(crops[i].waveform[0, 0].item(), 1) for i in range(4)] == [0.2, 0.2, 0.4, 0.4]


def test_additional_corpora_are_trained_on_whole(constants):
    settings = settings_of(
        constants[0],
        additional=[{"corpus": str(constants[1]), "share": 0.5}],
        validation_fraction=0.34,
    )
    corpus = sounds.load_all(settings)
    train, validation = sounds.split_speakers(corpus, settings, seed=1)
    assert len(validation) == 1 and validation[0] < 3
    assert set(train) == set(range(6)) - set(validation)
    chosen = settings.model_copy(update={"clips": ("01", "11")})
    train, validation = sounds.split_speakers(corpus, chosen, seed=1)
    assert {corpus.ids[n] for n in (*train, *validation)} == {"01", "11", "02", "12", "22"}
    alone = settings.model_copy(update={"validation": "other"})
    assert sounds.split_speakers(corpus, alone, seed=1) == (list(range(6)), [])


def test_a_speaker_that_validates_is_in_no_corpus(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_corpus(tmp_path / name)
    more = [{"corpus": str(tmp_path / "b"), "share": 0.5}]
    settings = settings_of(tmp_path / "a", additional=more, validation_fraction=0.34)
    corpus = sounds.load_all(settings)
    train, validation = sounds.split_speakers(corpus, settings, seed=0)
    assert not {corpus.speakers[n] for n in train} & {corpus.speakers[n] for n in validation}
    assert len(train) == 8


def test_shares_leave_some_to_the_corpus(constants):
    more = [{"corpus": "b", "share": 0.5}, {"corpus": "c", "share": 0.5}]
    with pytest.raises(ValueError, match="add up to 1: expected less than 1"):
        settings_of("a", additional=more)
    settings = settings_of(constants[0], additional=[{"corpus": str(constants[1]), "share": 0.5}])
    with pytest.raises(RecipeError, match="no recording of .* is left to train on"):
        crops_of(settings, numbers=[0, 1])


def test_the_signature_is_that_of_all_corpora(constants):
    alone = sounds.load_all(settings_of(constants[0]))
    both = sounds.load_all(
        settings_of(constants[0], additional=[{"corpus": str(constants[1]), "share": 0.5}])
    )
    assert alone.signature() == sounds.load(str(constants[0])).signature() != both.signature()
    assert both.open(4) == sounds.load(str(constants[1])).open(1)


def test_the_signature_is_of_sizes_and_not_of_times(constants):
    before = sounds.load(str(constants[0])).signature()
    path = sorted(constants[0].rglob("*.wav"))[0]
    os.utime(path, (1, 1))
    assert sounds.load(str(constants[0])).signature() == before
    path.write_bytes(path.read_bytes() + bytes(2))
    assert sounds.load(str(constants[0])).signature() != before


def test_a_recipe_downloads_no_additional_corpus(constants, tmp_path):
    data = TINY["data"] | {"additional": [{"corpus": "hf:org/name", "share": 0.5}]}
    path = write_recipe(tmp_path / "tiny.yaml", constants[0], data=data)
    recipe = load_recipe(path, [f"data.corpus={constants[0]}"])
    with pytest.raises(CorpusError, match="type data.additional.0.corpus=hf:org/name behind"):
        sounds.load_all(recipe.data)


def test_the_card_names_all_corpora(constants, tmp_path):
    data = TINY["data"] | {"corpus": str(constants[0])}
    data["additional"] = [{"corpus": str(constants[1]), "share": 0.5}]
    recipe = load_recipe(write_recipe(tmp_path / "tiny.yaml", "", data=data))
    names = ["/".join(folder.parts[-2:]) for folder in constants[:2]]
    assert export.training_data(recipe) == names


def test_speed_changes_pitch_and_place(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(4 * RATE) / RATE)
    soundfile.write(tmp_path / "a.wav", tone, RATE, subtype="FLOAT")
    for speed in (0.9, 1.1):
        crop = crops_of(settings_of(tmp_path, speed=(speed, speed)))[0].waveform
        assert crop.shape == (1, RATE // 4)
        spectrum = torch.fft.rfft(crop[0] * torch.hann_window(RATE // 4), 16 * RATE)
        assert spectrum.abs().argmax().item() / 16 == pytest.approx(500 * speed, abs=1)
    crops = crops_of(settings_of(tmp_path, speed=(0.9, 1.1)))
    assert torch.equal(crops[1].waveform, crops_of(crops.settings)[1].waveform)
    assert not torch.equal(crops[1].waveform, crops_of(settings_of(tmp_path))[1].waveform)


def test_a_room_decays_by_60_db():
    response = room_response(np.random.default_rng(0), 16000, 0.4, 6.0)
    assert len(response) == 6400 and response[0] == 1
    energy = np.square(response[1:])
    assert 10 * np.log10(1 / energy.sum()) == pytest.approx(6.0, abs=0.01)
    early, late = energy[:640].mean(), energy[-640:].mean()  # centres 0.36 s of 0.4 s apart
    assert 10 * np.log10(early / late) == pytest.approx(60 * 0.9, abs=2)


def test_reverberation_keeps_length_and_power_and_follows_the_sound():
    sound = torch.zeros(1, RATE)
    sound[0, 1000] = 0.5
    settings = RoomConfig(probability=1.0, seconds=(0.3, 0.3), direct_db=(3.0, 3.0))
    wet = reverberate(sound, np.random.default_rng(1), settings, RATE)
    assert wet.shape == sound.shape and wet.dtype == torch.float32
    assert wet.square().mean() == pytest.approx(sound.square().mean().item(), rel=1e-4)
    assert wet[0, :999].abs().max() < 1e-6 and wet[0, 1001:3000].abs().max() > 1e-3
    assert torch.equal(wet, reverberate(sound, np.random.default_rng(1), settings, RATE))
    silence = reverberate(torch.zeros(1, RATE), np.random.default_rng(1), settings, RATE)
    assert not silence.any()


def test_so_many_crops_are_in_a_room(constants):
    dry = crops_of(settings_of(constants[0]))
    wet = crops_of(settings_of(constants[0], room={"probability": 0.25}))
    changed = sum(not torch.equal(dry[i].waveform, wet[i].waveform) for i in range(200))
    assert 30 < changed < 70


def test_mixtures_have_their_ratio():
    rng = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 1, 50_000, generator=rng)
    added = mix(one, other, 10.0) - one
    assert 10 * (one.square().mean() / added.square().mean()).log10() == pytest.approx(10, abs=0.01)
    assert torch.equal(mix(one, torch.zeros_like(one), 0.0), one)
    assert torch.equal(mix(torch.zeros_like(one), other, 0.0), torch.zeros_like(one))


@pytest.mark.parametrize(
    "settings",
    [
        {"speed": (1.1, 0.9)},
        {"room": {"probability": 0.1, "seconds": (0.5, 0.1)}},
        {"room": {"probability": 0.1, "direct_db": (5, 0)}},
        {"mixing": {"probability": 0.1, "snr_db": (5, 0)}},
    ],
)
def test_ranges_start_with_the_lower_value(settings):
    with pytest.raises(ValueError, match=r"runs from .* give the lower one first"):
        settings_of("c", **settings)
