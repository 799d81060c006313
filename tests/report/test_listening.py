from __future__ import annotations

import base64
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from audiotok.codec import registry
from audiotok.data import Clip
from audiotok.errors import AudiotokError
from audiotok.report import listening
from audiotok.sound.audio import Audio, read, write

RATE = 16_000
TINY = str(Path(__file__).parents[1] / "support" / "tiny_codec.py")


def tone(frequency=440.0, level=0.1, seconds=1.0):
    time = torch.arange(int(seconds * RATE)) / RATE
    return Audio((level * torch.sin(2 * math.pi * frequency * time))[None], RATE)


@pytest.fixture
def clip(tmp_path):
    write(tmp_path / "tone.wav", tone())
    return Clip("tone", path=tmp_path / "tone.wav", text="a tone", licence="CC0-1.0")


@pytest.fixture
def codecs():
    return [registry.load(TINY), registry.load("mulaw")]


def content(page):
    text = (page.parent / "data.js").read_text()
    return json.loads(text.removeprefix("window.listening = ").rstrip(";\n"))


def test_all_sounds_of_a_clip_have_one_loudness(clip, codecs, tmp_path):
    page = listening.write(codecs, [clip], tmp_path / "out")
    (shown,) = content(page)
    assert [version["name"] for version in shown["versions"]] == ["reference", "tiny-a", "mulaw"]
    sounds = [read(page.parent / version["file"]) for version in shown["versions"]]
    levels = listening.levels(sounds)
    assert max(levels) - min(levels) < 0.02
    assert {sound.num_samples for sound in sounds} == {RATE}
    apart = listening.levels([tone(), codecs[0].reconstruct(tone())])
    assert abs(apart[0] - apart[1]) > 1  # the gains had something to do


def test_gains_by_hand():
    assert listening.gains([-20.0, -26.0, -23.0]) == [-6.0, 0.0, -3.0]
    assert listening.gains([-20.0, -60.0]) == [-12.0, 28.0]  # a near silence pulls 12 dB, no more
    assert listening.gains([-20.0, -math.inf]) == [0.0, 0.0]
    assert listening.gains([-math.inf]) == [0.0]


def test_gains_leave_room_for_peaks():
    assert listening.limited_gains([-6.0, 0.0], [0.5, 0.9]) == [-6.0, 0.0]
    louder = listening.limited_gains([-6.0, 0.0], [0.5, 2.0])  # a decoder may exceed full scale
    assert louder == pytest.approx([-6 - 20 * math.log10(2), -20 * math.log10(2)])
    assert listening.limited_gains([0.0, 28.0], [0.5, 0.1]) == pytest.approx([0.0, 20.0])
    assert listening.limited_gains([0.0, 0.0], [0.0, 0.0]) == [0.0, 0.0]


def test_a_lift_never_clips(clip, codecs, tmp_path, monkeypatch):
    monkeypatch.setattr(listening, "levels", lambda sounds: [-20.0, -90.0, -20.0])
    page = listening.write(codecs, [clip], tmp_path / "out")
    version = content(page)[0]["versions"][1]
    loudest = float(read(page.parent / version["file"]).waveform.abs().max())
    assert 0.99 < loudest <= 1 and version["gain"] < 58


def test_a_sound_shorter_than_a_block_is_matched_by_its_power():
    short, louder = tone(seconds=0.1), tone(seconds=0.1, level=0.2)
    one, two = listening.levels([short, louder])
    assert two - one == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert one == pytest.approx(10 * math.log10(0.1**2 / 2), abs=1e-3)


@pytest.mark.parametrize("frequency", [300.0, 3000.0])
def test_a_spectrogram_shows_a_tone_where_it_is(frequency):
    shown = listening.spectrogram(tone(frequency))
    picture = np.frombuffer(base64.b64decode(shown["data"]), np.uint8)
    picture = picture.reshape(shown["columns"], shown["bands"])
    mel = 2595 * math.log10(1 + frequency / 700) / (2595 * math.log10(1 + RATE / 2 / 700))
    assert abs(int(picture[shown["columns"] // 2].argmax()) - mel * shown["bands"]) < 2
    assert picture.max() == 255 and shown["columns"] <= listening.COLUMNS + 1


def test_silence_and_the_shortest_sound_have_a_spectrogram():
    for wave in (torch.zeros(1, RATE), torch.ones(1, 1)):
        assert listening.spectrogram(Audio(wave, RATE))["columns"] >= 1


def test_codes_are_those_of_the_codec_thinned_where_long(clip, codecs, tmp_path):
    shown = content(listening.write(codecs, [clip], tmp_path / "out"))[0]["versions"]
    assert shown[0]["codes"] is None
    codes = codecs[0].encode(read(clip.path)).codes
    assert shown[1]["codes"]["rows"] == codes[0].tolist()
    assert shown[1]["codes"]["sizes"] == [6, 10] and shown[1]["codes"]["step"] == 1
    assert shown[2]["codes"]["step"] == RATE // listening.FRAMES
    assert len(shown[2]["codes"]["rows"][0]) == listening.FRAMES


def test_which_clips_are_chosen_by_default():
    clips = [Clip("a0", speaker="a"), Clip("b0", speaker="b"), Clip("a1", speaker="a"), Clip("m")]
    assert [clip.id for clip in listening.choose(clips)] == ["a0", "b0", "m"]
    assert [clip.id for clip in listening.choose(clips, ["a1", "m"])] == ["a1", "m"]
    with pytest.raises(AudiotokError, match="no clip a2: there are a"):
        listening.choose(clips, ["a2"])


def test_two_of_one_name_or_none_at_all_are_refused(clip, codecs, tmp_path):
    with pytest.raises(AudiotokError, match="two codecs are named mulaw"):
        listening.write([codecs[1]] * 2, [clip], tmp_path / "out")
    with pytest.raises(AudiotokError, match="at least one codec and one clip"):
        listening.write([], [clip], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_page_needs_nothing_else(clip, codecs, tmp_path):
    page = listening.write(codecs, [clip], tmp_path / "out")
    text = page.read_text()
    for name in ("data.js", "player.js", "listening.js", "site.js", "site.css"):
        assert f'"{name}"' in text and (page.parent / name).is_file()
    assert "http" not in text.replace("http-equiv", "") and "../" not in text


def test_other_pages_can_find_the_sounds(clip, codecs, tmp_path):
    page = listening.write(codecs, [clip], tmp_path / "out")
    (listed,) = json.loads((page.parent / "sounds.json").read_bytes())
    assert (listed["id"], listed["text"], listed["seconds"]) == ("tone", "a tone", 1.0)
    assert list(listed["files"]) == ["reference", "tiny-a", "mulaw"]
    assert all((page.parent / file).is_file() for file in listed["files"].values())
