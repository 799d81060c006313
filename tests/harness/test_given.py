"""The suite of given reconstructions: a manifest says who made each sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import bench_kit

from audiotok import bench, data, tasks
from audiotok.errors import AudiotokError, CorpusError
from audiotok.harness import given, harness
from audiotok.harness.settings import BenchSettings
from audiotok.report import leaderboard, samples
from audiotok.results.ranking import rank
from audiotok.results.validating import validate
from audiotok.tasks import Column, Task

HEAD = "audio\treference\tcodec\tdomain\n"
MANIFEST = HEAD + (
    "s/gt_1.wav\t\tgt\tmusic\n"
    "s/gt_2.wav\t\tgt\tmusic\n"
    "s/soft_1.wav\ts/gt_1.wav\tSoft, 8 codebooks\tmusic\n"
    "s/soft_2.wav\ts/gt_2.wav\tSoft, 8 codebooks\tmusic\n"
    "s/half_2.wav\ts/gt_2.wav\tHalf\tmusic\n"
    "s/alone.wav\t\tAlone\tspeech\n"
)
GAINS = {"gt": 1.0, "soft": 0.9, "half": 0.5, "alone": 1.0}


class Level(Task):
    """Of each clip its level, and that of its reference by it."""

    name = "loudness"
    version = 1
    columns = (
        Column("level", "", True, 3, "of the sound alone"),
        Column("level_ratio", "", True, 3, "to the reference"),
    )

    def score(self, item):
        level = float(item.reconstruction.waveform.std())
        if item.reference is None:
            return {"level": level}
        return {"level": level, "level_ratio": level / float(item.reference.waveform.std())}


@pytest.fixture
def kit(tmp_path, monkeypatch):
    get_task = tasks.get
    monkeypatch.setattr(
        tasks, "get", lambda name: Level() if name == "loudness" else get_task(name)
    )
    monkeypatch.chdir(tmp_path)
    Path("s").mkdir()
    for name in ("gt_1", "gt_2", "soft_1", "soft_2", "half_2", "alone"):
        noise = np.random.default_rng(int(name[-1] == "2")).uniform(-0.3, 0.3, 1600)
        soundfile.write(f"s/{name}.wav", noise * GAINS[name.partition("_")[0]], 16_000, "DOUBLE")
    Path("m.tsv").write_text(MANIFEST)
    bench_kit.write_suite(
        Path("given.yaml"), tasks=["loudness"], given=True, headline=["level_ratio"]
    )


def run(manifest="m.tsv", tokenizer=(), **options):
    options = {"suite": "given.yaml", "workers": 0, "data": manifest} | options
    return harness.run(BenchSettings(tokenizer=tokenizer, **options))


def test_each_codec_named_is_a_row_of_its_own_clips(kit):
    by_codec = {result.codec: result for result in run()}
    assert list(by_codec) == ["reference", "Alone", "Half", "Soft, 8 codebooks"]
    assert {r.role for r in by_codec.values()} == {"ceiling", "given"}
    ratio = {name: r.scores["level_ratio"]["mean"] for name, r in by_codec.items()}
    assert ratio["reference"] == pytest.approx(1)
    assert ratio["Soft, 8 codebooks"] == pytest.approx(0.9, rel=1e-3)
    assert ratio["Half"] == pytest.approx(0.5, rel=1e-3)
    counts = {name: r.summary["data"]["clips"] for name, r in by_codec.items()}
    assert counts == {"reference": 2, "Alone": 1, "Half": 1, "Soft, 8 codebooks": 2}
    clips = {name: list(r.rows["clip"]) for name, r in by_codec.items()}
    assert clips["Soft, 8 codebooks"] == clips["reference"] == ["gt_1", "gt_2"]
    assert clips["Half"] == ["gt_2"]  # the same clip, so that codecs can be compared on it
    assert not any("bitrate" in r.summary["codec"] for r in by_codec.values())
    assert rank(list(by_codec.values()), "loudness") is None
    assert [f for f in validate("results")[1] if f.error] == []


def test_a_sound_without_its_original_is_never_scored_against_itself(kit):
    (alone,) = (r for r in run() if r.codec == "Alone")
    assert alone.scores["level"]["n"] == 1
    assert alone.scores["level_ratio"]["n"] == alone.scores["level_ratio"]["failed"] == 0
    only = HEAD + "s/alone.wav\t\tAlone\t\ns/half_2.wav\t\tHalf\t\n"
    Path("only.tsv").write_text(only)
    assert [r.codec for r in run("only.tsv")] == ["Alone", "Half"]


def test_a_sound_that_stands_in_for_the_original_is_named(kit):
    Path("m.tsv").write_text(MANIFEST.replace("\tgt\t", "\tBest\t"))
    results = run()
    assert results[0].summary["codec"]["stand_in"] == "Best"
    assert "stand_in" not in run_again_with_originals()[0].summary["codec"]
    (_, note) = samples.notes(results)
    assert "the sound of Best stands in for it" in note
    text = leaderboard.build("results")["LEADERBOARD.md"].decode()
    assert "not run by us: 1 to 2 of each codec" in text and "Best stands in" in text
    assert samples.headline(results) == ["level_ratio"]


def run_again_with_originals():
    Path("m2.tsv").write_text(MANIFEST)
    return run("m2.tsv", out="other")


def test_what_the_results_depend_on_are_the_sounds_given(kit):
    before = run()[0].folder.parent
    soundfile.write("s/half_2.wav", np.zeros(1600), 16_000)
    assert run()[0].folder.parent != before
    assert [r.summary["data"]["clips"] for r in run(limit=1)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("s/half_2.wav\t\t\t\n", "names neither a codec nor a reference"),
        ("s/half_2.wav\ts/gt_2.wav\treference\t\n", "a codec is named 'reference'"),
        (
            "s/half_2.wav\ts/gt_2.wav\tX\t\ns/soft_2.wav\ts/gt_2.wav\tX\t\n",
            "X has two reconstructions of gt_2",
        ),
        ("s/gt_2.wav\t\tX\t\ns/half_2.wav\ts/gt_2.wav\t\t\n", None),
    ],
)
def test_manifests_that_say_too_little(kit, rows, message):
    Path("bad.tsv").write_text(HEAD + rows)
    if message is None:  # reconstructions of nobody in particular
        assert list(given.of(data.load("bad.tsv")).codecs) == ["given"]
        return
    with pytest.raises(CorpusError, match=message):
        run("bad.tsv")


def test_suites_of_given_sounds_run_no_codec(kit):
    with pytest.raises(AudiotokError, match="leave out --tokenizer, or name another suite"):
        run(tokenizer="mulaw")
    bench_kit.write_suite(Path("plain.yaml"))
    with pytest.raises(AudiotokError, match="no codec is named"):
        bench(data="m.tsv", suite="plain.yaml")


def test_the_domain_says_what_is_speech(kit):
    corpus = data.load("m.tsv")
    assert [corpus.is_speech(clip) for clip in corpus] == [False] * 5 + [True]
    assert corpus.no_speech() is None
    Path("music.tsv").write_text(MANIFEST.replace("\tspeech", "\tmusic"))
    for name in ("mos", "speaker", "asr"):
        reason = tasks.get(name).unsuited(data.load("music.tsv"))
        assert reason.startswith("no clip is speech")
    Path("other.tsv").write_text(MANIFEST.replace("\tmusic", "\tlectures"))
    assert {clip.domain for clip in data.load("other.tsv")} == {None, "speech"}
