from __future__ import annotations

import numpy as np
import pytest
from support import result_kit
from support.result_kit import put, spread

from audiotok.errors import ResultsError
from audiotok.report import leaderboard, site
from audiotok.results import results
from audiotok.results.ranking import rank

NAN = float("nan")


def group(folder):
    return next(
        results_of_setting for _, results_of_setting in results.by_setting(results.read_all(folder))
    )


@pytest.fixture
def folder(tmp_path):
    hard = spread(0, seed=9, width=0.5)

    def near(mean, seed):
        return [h + s for h, s in zip(hard, spread(mean, seed=seed, width=0.02), strict=True)]

    put(tmp_path, "reference", {"pesq": [4.6] * 40, "mel_distance": [0.0] * 40}, role="ceiling")
    put(tmp_path, "best", {"pesq": near(3, 1), "mel_distance": near(1, 1)})
    put(tmp_path, "twin", {"pesq": near(2, 2), "mel_distance": near(2, 2)})
    put(tmp_path, "other", {"pesq": near(2, 3), "mel_distance": near(3, 3)})
    put(tmp_path, "random", {"pesq": [1.0] * 40, "mel_distance": [9.0] * 40}, role="floor")
    return tmp_path


def with_gaps(values, clips):
    return [NAN if number in clips else value for number, value in enumerate(values)]


def test_ties_share_a_rank_and_the_mean_is_over_columns(folder):
    ranking = rank(group(folder), "reconstruction")
    assert ranking.columns["pesq"] == {"best": 1, "twin": 2, "other": 2}
    assert ranking.columns["mel_distance"] == {"best": 1, "twin": 2, "other": 3}
    assert ranking.mean == {"best": 1, "twin": 2, "other": 2.5}
    assert ranking.unranked == {} and ranking.notes() == []
    assert rank(group(folder), "speed") is None  # times are costs


def test_random_codes_without_a_column_do_not_keep_it_from_ranks(folder):
    put(folder, "random", {"pesq": [1.0] * 40}, role="floor")
    ranking = rank(group(folder), "reconstruction")
    assert ranking.columns["mel_distance"] == {"best": 1, "twin": 2, "other": 3}


def test_only_columns_that_the_task_names_are_ranked(folder):
    for name in ("best", "twin", "other"):
        rows = results.read(folder / "smoke-v1/clips-0a0b0a0b" / name).rows
        about = {column: list(rows[column]) for column in ("pesq", "mel_distance")}
        put(folder, name, about | {"estoi": spread(0.5), "si_sdr": spread(9.0), "ued": spread(0.5)})
    assert rank(group(folder), "stability") is None
    assert list(rank(group(folder), "reconstruction").standings) == ["mel_distance", "pesq"]


def test_columns_of_a_task_with_an_option_end_in_it(tmp_path, monkeypatch):
    task = "acoustic_lm:parallel"
    columns = ("pairs_speaker_parallel", "pairs_speaker_parallel_seed_0")
    about = dict.fromkeys(columns, (task, "", True, 3))
    monkeypatch.setattr(result_kit, "ABOUT", result_kit.ABOUT | about)
    for name, mean in (("best", 0.8), ("other", 0.6)):
        put(tmp_path, name, {column: spread(mean) for column in columns})
    assert rank(group(tmp_path), task).columns == {columns[0]: {"best": 1, "other": 2}}
    assert rank(group(tmp_path), task, "quality") is None  # continuations were not measured


def test_a_codec_without_values_is_not_ranked_in_that_column(folder):
    """More than a fifth of the clips, or all of them; and it has no mean rank."""
    put(folder, "picky", {"pesq": [4.5] * 31 + [NAN] * 9, "mel_distance": [0.1] * 40})
    put(folder, "partial", {"pesq": [4.6] * 40})
    ranking = rank(group(folder), "reconstruction")
    assert ranking.mean.keys() == {"best", "twin", "other"}
    assert ranking.columns["pesq"] == {"partial": 1, "best": 2, "twin": 3, "other": 3}
    assert ranking.columns["mel_distance"]["picky"] == 1
    assert ranking.unranked == {
        "picky": {"pesq": "no value on 9 of 40 clips"}, "partial": {"mel_distance": "no value"},
    }  # fmt: skip
    assert ranking.standings["pesq"].left_out == 0
    lines = leaderboard.build(folder)["leaderboard.csv"].decode().splitlines()
    assert any(",best,neural,pesq," in line and ",2,2,?," in line for line in lines)
    assert any(",picky,neural,pesq," in line and ",,,?," in line for line in lines)


def test_a_few_missing_values_leave_out_the_clips_for_all(folder):
    """With these three clips the outlier would be the worst; without them it is the best."""
    path = folder / "smoke-v1/clips-0a0b0a0b"
    mel = list(results.read(path / "twin").rows["mel_distance"])
    pesq = list(results.read(path / "twin").rows["pesq"])
    put(folder, "twin", {"pesq": with_gaps(pesq, (0, 1, 2)), "mel_distance": mel})
    best = list(results.read(path / "best").rows["pesq"])
    outlier = [-90.0, -90.0, -90.0, *(value + 1 for value in best[3:])]
    put(folder, "outlier", {"pesq": outlier, "mel_distance": mel})
    ranking = rank(group(folder), "reconstruction")
    one = ranking.standings["pesq"]
    assert (one.clips, one.left_out) == (37, 3) and one.incomplete == {"twin"}
    assert one.means["outlier"] == pytest.approx(np.mean(outlier[3:]), rel=1e-5)
    assert ranking.columns["pesq"]["outlier"] == 1 and ranking.columns["pesq"]["best"] == 2
    assert ranking.unranked == {} and set(ranking.mean) == {"best", "twin", "other", "outlier"}
    note = "pesq: 3 of 40 clips are left out of the ranks, because a codec has no value there"
    assert ranking.notes() == [note]
    assert note in site.build(folder)["smoke-v1-clips-0a0b0a0b.html"].decode()


def test_nobody_gains_by_failing_on_hard_clips(folder):
    """As good as the best on easy clips, bad on hard ones, which it leaves out: the rank is the one
    it has with its bad values, on the front as well."""
    path = folder / "smoke-v1/clips-0a0b0a0b"
    rows = results.read(path / "best").rows
    honest = [1.0] * 8 + [value + 0.1 for value in rows["pesq"][8:]]
    about = {"mel_distance": list(rows["mel_distance"])}
    put(folder, "chooser", {"pesq": honest} | about, bitrate=500.0)
    put(folder, "best", {"pesq": list(rows["pesq"])} | about, bitrate=500.0)
    before = rank(group(folder), "reconstruction")
    assert before.columns["pesq"]["chooser"] > 1
    for clips in (range(8), range(4), (0, 3, 7)):
        put(folder, "chooser", {"pesq": with_gaps(honest, clips)} | about, bitrate=500.0)
        after = rank(group(folder), "reconstruction")
        assert after.columns["pesq"]["chooser"] >= before.columns["pesq"]["chooser"]
        one = after.standings["pesq"]
        assert one.means["chooser"] > one.means["best"] or len(clips) < 8
        assert one.front({"chooser": 500.0, "best": 500.0}) == ["best"]
    put(folder, "chooser", {"pesq": with_gaps(honest, range(9))} | about)
    assert "pesq" in rank(group(folder), "reconstruction").unranked["chooser"]


def test_a_better_codec_that_fails_on_a_clip_stays_ahead(folder):
    """Its worst-case mean is (39 * 3 + 1) / 40, still above 2: the others do not move up."""
    rows = results.read(folder / "smoke-v1/clips-0a0b0a0b/best").rows
    about = {"mel_distance": list(rows["mel_distance"])}
    put(folder, "best", {"pesq": with_gaps(list(rows["pesq"]), [0])} | about)
    ranks = rank(group(folder), "reconstruction").columns["pesq"]
    assert ranks == {"best": 1, "twin": 2, "other": 2}


@pytest.mark.parametrize("worst", [1.0, -60.0])
def test_a_very_bad_value_makes_no_tie_of_a_failure(folder, worst):
    """One value far below all others makes the interval wide, in which a lower mean is a tie."""
    path = folder / "smoke-v1/clips-0a0b0a0b"
    best = list(results.read(path / "best").rows["pesq"])
    about = {"mel_distance": list(results.read(path / "best").rows["mel_distance"])}
    put(folder, "random", {"pesq": [worst, *[1.0] * 39], "mel_distance": [9.0] * 40}, role="floor")
    honest = [*(value - 0.6 for value in best[:8]), *(value + 0.02 for value in best[8:])]
    put(folder, "chooser", {"pesq": honest} | about)
    assert rank(group(folder), "reconstruction").columns["pesq"]["chooser"] == 2
    put(folder, "chooser", {"pesq": with_gaps(honest, range(8))} | about)
    ranks = rank(group(folder), "reconstruction").columns["pesq"]
    assert ranks["chooser"] >= 2 and ranks["best"] == 1


def test_many_codecs_that_fail_leave_out_at_most_a_fifth_of_the_clips(folder):
    rows = results.read(folder / "smoke-v1/clips-0a0b0a0b/best").rows
    for number in range(4):
        gaps = with_gaps(list(rows["pesq"]), range(3 * number, 3 * number + 3))
        put(folder, f"gaps{number}", {"pesq": gaps, "mel_distance": list(rows["mel_distance"])})
    ranking = rank(group(folder), "reconstruction")
    assert ranking.standings["pesq"].left_out == 6
    assert ranking.unranked == {
        name: {"pesq": "no value on 3 of 40 clips"} for name in ("gaps2", "gaps3")
    }


def test_clips_that_all_lack_cost_nobody_its_rank(folder):
    for name in ("best", "twin", "other"):
        path = folder / "smoke-v1/clips-0a0b0a0b" / name
        rows = results.read(path).rows
        pesq = [NAN, *rows["pesq"][1:]]
        put(folder, name, {"pesq": pesq, "mel_distance": list(rows["mel_distance"])})
    ranking = rank(group(folder), "reconstruction")
    assert ranking.columns["pesq"]["best"] == 1 and ranking.standings["pesq"].left_out == 0


def test_missing_words_are_charged_with_their_weight(tmp_path):
    """A number of the corpus, all errors by all words: the weight comes from the other codecs."""
    words = [float(5 + number % 3) for number in range(20)]
    put(tmp_path, "good", {"wer": [0.2 + 0.01 * (n % 2) for n in range(20)], "words": words})
    put(tmp_path, "random", {"wer": [1.0] * 20, "words": words}, role="floor")
    gaps = {"wer": with_gaps([0.19] * 20, (0, 1, 2)), "words": with_gaps(words, (0, 1, 2))}
    put(tmp_path, "gaps", gaps)
    one = rank(group(tmp_path), "asr").standings["wer"]
    charged = (0.19 * sum(words[3:]) + sum(words[:3])) / sum(words)
    assert one.worst_case_means["gaps"] == pytest.approx(charged, rel=1e-5)
    assert one.means["gaps"] == pytest.approx(0.19) and one.ranks == {"good": 1, "gaps": 2}


def test_a_number_of_the_corpus_is_of_the_clips_of_its_task(tmp_path, monkeypatch):
    """It has no values of clips; a clip that only another task has a value of does not count."""
    task = "probe_verification"
    about = {"probe_eer": (task, "", False, 3), "probe_score": (task, "", None, 3)}
    monkeypatch.setattr(result_kit, "ABOUT", result_kit.ABOUT | about)
    for name, missing in (("one", [0]), ("two", [])):
        score = {"probe_eer": [NAN] * 40, "probe_score": with_gaps([1.0] * 40, missing)}
        folder = put(tmp_path, name, score | {"pesq": spread(3)}, seal=False)
        content = results.read(folder).summary
        content["scores"]["probe_eer"]["mean"] = 0.2
        results.write_json(folder / "summary.json", content)
    unranked = rank(group(tmp_path), task).unranked
    assert unranked == {"one": {"probe_eer": "no value on 1 of 40 clips"}}


def test_what_is_not_better_than_random_codes_shares_the_last_rank(folder):
    """A rank counts who is certainly better: with few clips a codec of noise would share the
    first."""
    put(folder, "noise", {"pesq": spread(1.0, seed=5, width=9.0), "mel_distance": [9.0] * 40})
    ranking = rank(group(folder), "reconstruction")
    assert ranking.columns["pesq"]["noise"] == ranking.columns["mel_distance"]["noise"] == 4
    assert ranking.standings["pesq"].above_floor == {"best", "twin", "other"}


def test_where_no_codec_is_better_than_random_codes_none_is_ranked(tmp_path):
    put(tmp_path, "one", {"stoi": spread(0.2, seed=1), "pesq": spread(3)})
    put(tmp_path, "two", {"stoi": spread(0.2, seed=2), "pesq": spread(2)})
    put(tmp_path, "random", {"stoi": spread(0.2, seed=3), "pesq": spread(1)}, role="floor")
    ranking = rank(group(tmp_path), "reconstruction")
    assert list(ranking.columns) == ["pesq"]
    assert ranking.notes() == ["stoi: no codec is better than random codes, so that none is ranked"]


@pytest.mark.parametrize(("pesq", "mel", "front"), [
    (1.1, 5.0, False),  # certainly better than 1.0, but by a twentieth of the way to 3
    (1.3, 5.0, True),
    (1.3, 9.5, True),  # in one of two columns
])  # fmt: skip
def test_on_a_front_is_what_is_clearly_better_than_random_codes(folder, pesq, mel, front):
    rows = {"pesq": spread(pesq, width=0.01), "mel_distance": spread(mel, width=0.01)}
    put(folder, "cheap", rows)
    one = rank(group(folder), "reconstruction").standings["pesq"]
    assert "cheap" in one.above_floor and ("cheap" in one.clearly_above) == front
    rates = {"cheap": 50.0, "best": 1000.0}
    assert one.front(rates) == (["cheap", "best"] if front else ["best"])


def test_steady_noise_is_on_no_front(folder):
    """As measured: it beats random codes in STOI, but in neither of the other two columns."""
    for name, stoi in (("best", 0.98), ("twin", 0.87), ("other", 0.87), ("random", 0.22)):
        path = folder / "smoke-v1/clips-0a0b0a0b" / name
        rows = {key: list(results.read(path).rows[key]) for key in ("pesq", "mel_distance")}
        role = "floor" if name == "random" else "neural"
        put(folder, name, rows | {"stoi": spread(stoi, width=0.01)}, role=role)
    noise = {"pesq": [1.0] * 40, "mel_distance": [9.5] * 40, "stoi": spread(0.465, width=0.01)}
    put(folder, "noise", noise)
    one = rank(group(folder), "reconstruction").standings["stoi"]
    assert "noise" in one.above_floor
    assert one.front({"noise": 50.0, "twin": 480.0, "best": 6000.0}) == ["twin", "best"]


def test_codecs_of_equal_cost_and_quality_are_both_on_the_front(folder):
    one = rank(group(folder), "reconstruction").standings["pesq"]
    rates = {"best": 2000.0, "twin": 1000.0, "other": 1000.0}
    assert one.front(rates)[-1] == "best" and len(one.front(rates)) == 2
    equal = {name: 2.0 for name in one.means} | {"best": 3.0}
    assert one._front(equal, rates) == {"other", "twin", "best"}
    assert one.front({"twin": 1000.0}) == ["twin"]
    assert one.front({"best": 1000.0, "twin": 2000.0, "unknown": 1.0}) == ["best"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packages": {"pesq": "0.0.5"}}, r"pesq is 0\.0\.4 in the one and 0\.0\.5"),
        ({"versions": {"pesq": 2}}, r""),
        ({"audiotok": "99.0.0"}, r""),
        ({"versions": {"task": 99}}, r"reconstruction \(task\) is v\d+ in the one and v99"),
    ],
)
def test_the_leaderboard_refuses_mixes_and_names_both(folder, change, message):
    put(folder, "zebra", {"pesq": spread(2), "mel_distance": spread(2)}, **change)
    if not message:  # a metric of one of them alone, and a release that moved no number
        leaderboard.build(folder)
        return
    with pytest.raises(ResultsError, match=rf"reference and .*zebra are mixed: {message}"):
        leaderboard.build(folder)
