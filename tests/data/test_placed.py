"""Corpora that lie in the cache folder, in small folders of their layouts."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from audiotok import data
from audiotok.data import _download
from audiotok.errors import CorpusError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A function that makes files in an empty cache folder: sounds, or texts where given."""
    monkeypatch.setenv("AUDIOTOK_DATA", str(tmp_path))

    def make(*sounds, **texts):
        for place, name in enumerate(sounds):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.full(160, 0.01 * (place + 1)), 16_000)
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def test_speech_commands(cache):
    names = ("yes/a1_nohash_0", "yes/b2_nohash_1", "no/a1_nohash_0", "_background_noise_/tap")
    cache(
        *(f"speech_commands/{name}.wav" for name in names),
        **{
            "speech_commands/testing_list.txt": "yes/b2_nohash_1.wav\n",
            "speech_commands/validation_list.txt": "no/a1_nohash_0.wav\n",
        },
    )
    corpus = data.load("speech_commands")
    assert [(c.id, c.label, c.text, c.speaker, c.split) for c in corpus] == [
        ("no__a1_nohash_0", "no", "no", "a1", "validation"),
        ("yes__a1_nohash_0", "yes", "yes", "a1", "train"),
        ("yes__b2_nohash_1", "yes", "yes", "b2", "test"),
    ]
    assert corpus.licence == "CC BY 4.0"


def test_esc50_tests_on_the_fold_in_its_name(cache):
    rows = (
        "filename,fold,target,category,esc10,src_file\n"
        "1-a-0.wav,1,0,dog,True,100\n3-b-1.wav,3,1,rain,False,200\n"
    )
    folder = cache(
        "esc50/audio/1-a-0.wav", "esc50/audio/3-b-1.wav", **{"esc50/meta/esc50.csv": rows}
    )
    result = [(c.label, c.split) for c in data.load("esc50/3")]
    assert result == [("dog", "train"), ("rain", "test")]
    assert [c["session"] for c in data.load("esc50/3").clusters] == ["100", "200"]
    assert data.load("esc50/1").sha256 != data.load("esc50/3").sha256
    (folder / "esc50/audio/3-b-1.wav").unlink()
    with pytest.raises(CorpusError, match=r"3-b-1\.wav, which is not a file"):
        data.load("esc50/1")
    cache(**{"esc50/meta/esc50.csv": "name,fold\nx,1\n"})
    with pytest.raises(CorpusError, match="no table with the columns filename, fold, category"):
        data.load("esc50/1")


@pytest.mark.parametrize("inner", ["genres", "genres_original"])
def test_gtzan_without_its_broken_file(cache, inner):
    names = ("blues/blues.00000", "jazz/jazz.00053", "jazz/jazz.00054")
    cache(*(f"gtzan/{inner}/{name}.wav" for name in names))
    assert [(c.id, c.label) for c in data.load("gtzan")] == [
        ("blues.00000", "blues"), ("jazz.00053", "jazz"),
    ]  # fmt: skip


def test_musdb_has_one_excerpt_of_each_song(cache):
    folder = cache(
        *(f"musdb/test/{song}/{stem}.wav" for song in "ab" for stem in ("bass", "mixture"))
    )
    soundfile.write(folder / "musdb/test/a/mixture.wav", np.full((70 * 1000, 2), 0.1), 1000)
    soundfile.write(folder / "musdb/test/b/mixture.wav", np.full((40 * 1000, 2), 0.1), 1000)
    expected = [("a", 30.0, 30.0, "a", "test", "music"), ("b", 10.0, 30.0, "b", "test", "music")]
    for source in ("musdb/test", folder / "musdb", folder / "musdb/test"):
        corpus = data.load(source)
        found = [(c.id, c.offset, c.duration, c.session, c.split, c.domain) for c in corpus]
        assert found == expected
    assert corpus.clips[1].read().duration == 30
    with pytest.raises(CorpusError, match=r"musdb has no train: get it from https"):
        data.load("musdb/train")


def test_fsd50k(cache):
    folder = cache(
        "fsd50k/FSD50K.dev_audio/1.wav", "fsd50k/FSD50K.dev_audio/2.wav",
        "fsd50k/FSD50K.eval_audio/3.wav",
        **{
            "fsd50k/FSD50K.ground_truth/dev.csv":
                'fname,labels,mids,split\n1,"Bark,Dog",/m,train\n2,Rain,/m,val\n',
            "fsd50k/FSD50K.ground_truth/eval.csv": "fname,labels,mids\n3,Rain,/m\n",
        },
    )  # fmt: skip
    found = [(c.id, c.label, c.split, c.domain) for c in data.load(folder / "fsd50k")]
    dev = [("1", "Bark", "train", "audio"), ("2", "Rain", "validation", "audio")]
    assert found == [*dev, ("3", "Rain", "test", "audio")]
    assert [c.id for c in data.load("fsd50k/eval")] == ["3"]
    assert [c.split for c in data.load("fsd50k/dev")] == ["train", "validation"]


def test_folders_in_the_layouts_of_corpora_have_their_labels(cache):
    folder = cache(
        "ESC/audio/1-a-0.wav", *(f"Data/genres_original/{g}/{g}.00000.wav" for g in
        ("blues", "classical", "jazz")), "other/genres/mine/1.wav",
        **{"ESC/meta/esc50.csv": "filename,fold,category\n1-a-0.wav,1,dog\n"},
    )  # fmt: skip
    found = [(c.label, c.split, c.domain) for c in data.load(folder / "ESC")]
    assert found == [("dog", "test", "audio")]
    assert {c.label for c in data.load(folder / "Data")} == {"blues", "classical", "jazz"}
    assert data.load(folder / "other").clips[0].label is None  # any folder of sounds


def test_voxceleb1(cache):
    names = ("id10001/v/00001", "id10001/w/00001", "id10270/v/00001", "id10270/x/00002")
    folder = cache(
        *(f"voxceleb1/wav/{name}.wav" for name in names),
        **{
            "voxceleb1/veri_test.txt": "1 id10270/v/00001.wav id10270/x/00002.wav\n",
            "voxceleb1/iden_split.txt": "1 id10270/v/00001.wav\n3 id10001/w/00001.wav\n",
        },
    )
    corpus = data.load("voxceleb1/verification")
    assert [(c.id, c.speaker, c.split) for c in corpus] == [
        ("id10001__v__00001", "id10001", "train"),
        ("id10001__w__00001", "id10001", "train"),
        ("id10270__v__00001", "id10270", "test"),
        ("id10270__x__00002", "id10270", "test"),
    ]
    assert corpus.trials == ((True, "id10270__v__00001", "id10270__x__00002"),)
    other = [(c.id, c.split) for c in data.load("voxceleb1/identification")]
    assert other == [("id10001__w__00001", "test"), ("id10270__v__00001", "train")]
    (folder / "voxceleb1/veri_test.txt").write_text("1 only-one.wav\n")
    with pytest.raises(CorpusError, match="line 1: expected one of 0, 1 and 2 paths"):
        data.load("voxceleb1/verification")


@pytest.mark.parametrize(
    "name", ["esc50/2", "fsd50k/eval", "gtzan", "musdb/test", "voxceleb1/verification"]
)
def test_a_corpus_that_is_not_there_says_where_it_belongs(cache, name):
    folder = cache()
    with pytest.raises(CorpusError, match="get it from http") as messages:
        data.load(name)
    assert str(folder / name.split("/")[0]) in str(messages.value) and "\n" not in str(
        messages.value
    )


def test_the_folder_of_corpora_is_not_the_cache_of_bench(tmp_path, monkeypatch):
    monkeypatch.delenv("AUDIOTOK_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUDIOTOK_CACHE", str(tmp_path / "old"))
    assert _download.place("gtzan") == tmp_path / "home" / "audiotok" / "gtzan"
    (tmp_path / "old" / "gtzan").mkdir(parents=True)  # where earlier versions kept it
    with pytest.warns(FutureWarning, match="AUDIOTOK_CACHE is now only the cache of bench"):
        assert _download.place("gtzan") == tmp_path / "old" / "gtzan"
    (tmp_path / "home" / "audiotok" / "gtzan").mkdir(parents=True)
    assert _download.place("gtzan") == tmp_path / "home" / "audiotok" / "gtzan"
    monkeypatch.setenv("AUDIOTOK_DATA", str(tmp_path / "data"))
    assert _download.place("gtzan") == tmp_path / "data" / "gtzan"
