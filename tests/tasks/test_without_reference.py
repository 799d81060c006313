"""Tasks on given sounds whose original is not there: only what needs none has a value."""

import torch

from audiotok.data import Clip
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, _voices, _words
from audiotok.tasks.reconstruction import Reconstruction

NOISE = Audio(torch.rand(1, 16_000) - 0.5, 16_000)
ITEM = Item(Clip("a", text="one two"), None, NOISE)


class Heard:
    name, identity, label, languages, script = "heard", {}, "", None, None

    def transcribe(self, audio, language=None):
        return "one too"


class Same:
    name, identity, label = "same", {}, ""

    def embed(self, audio):
        return torch.ones(1).numpy()


def test_words_are_compared_with_the_text_alone():
    row = _words.rates(Heard(), ITEM)
    assert row["wer"] == 0.5 and row["transcript"] == "one too"
    assert not {"dwer", "words_heard"} & row.keys()


def test_sound_and_voice_are_compared_with_nothing():
    assert Reconstruction(["stoi"]).score(ITEM) == {}
    voices = type("Speaker", (_voices.Voices,), {"name": "speaker"})(Same())
    assert voices.score(ITEM) == {}
