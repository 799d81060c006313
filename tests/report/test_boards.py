"""Bands and fronts, and what a constant, a copying and a random codec get of them."""

from __future__ import annotations

import csv
import io

import pytest
from support.result_kit import put, spread

from audiotok.report import headline, leaderboard, site
from audiotok.report.boards import BANDS, UNKNOWN, Boards, band
from audiotok.report.site import fronts
from audiotok.report.site.fronts import figure
from audiotok.results import results

N = 40


def group(folder):
    return next(members for _, members in results.by_setting(results.read_all(folder)))


def quality(stoi, mel, seed):
    return {
        "stoi": spread(stoi, seed=seed, width=0.02), "pesq": spread(1 + 3 * stoi, seed=seed),
        "mel_distance": spread(mel, seed=seed), "wer": spread(1 - stoi, seed=seed, width=0.02),
        "words": [5.0] * N,
    }  # fmt: skip


def cost(bits, lm, unstable):
    return {
        "bitrate": [float(bits)] * N, "ngram_bitrate": [float(lm)] * N,
        "lm_bitrate": [float(lm)] * N,
        "lm_diverged": [0.0] * N, "ued": [unstable] * N,
    }  # fmt: skip


def lm(pairs, similarity, seed):
    return {
        "pairs_speaker": [float(x > -pairs) for x in spread(0, seed=seed, width=1)],
        "continuation_similarity_true": spread(similarity, seed=seed, width=0.02),
    }


@pytest.fixture
def folder(tmp_path):
    """Two codecs that are worth something, and three that are not, each the best at something."""
    floor = quality(0.2, 6, 1) | lm(0, 0.2, 1)
    put(tmp_path, "random", floor | cost(960, 960, 0.0), role="floor", bitrate=960.0)
    low = quality(0.7, 2, 2) | lm(1, 0.6, 2) | cost(500, 400, 0.8)
    put(tmp_path, "low", low, bitrate=500.0)
    middle = quality(0.8, 1.5, 3) | lm(1, 0.7, 3) | cost(1200, 900, 0.7)
    put(tmp_path, "middle", middle, bitrate=1200.0)
    constant = quality(0.2, 6, 4) | lm(0, 0.2, 4) | cost(400, 0, 0.0)
    put(tmp_path, "constant", constant, bitrate=400.0)
    copying = quality(1, 0.01, 5) | lm(0.5, 0.9, 5) | cost(256_000, 150_000, 0.9)
    put(tmp_path, "copying", copying, bitrate=256_000.0)
    dice = quality(0.2, 6, 6) | lm(0, 0.2, 6) | cost(900, 900, 0.0)
    put(tmp_path, "dice", dice, bitrate=900.0)
    return tmp_path


@pytest.mark.parametrize(
    ("rate", "number"),
    [(1, 0), (749.9, 0), (750, 1), (1500, 1), (1500.1, 2), (3000, 2), (3001, 3), (6000, 3),
     (6000.1, 4), (256_000, 4)],
)  # fmt: skip
def test_boundaries_of_bands(tmp_path, rate, number):
    put(tmp_path, "codec", {"bitrate": [rate] * 4})
    assert band(group(tmp_path)[0]) == BANDS[number]


@pytest.mark.parametrize(
    ("nominal", "measured", "number"),
    [(6000.0, 6004, 3), (1500.0, 1530, 1), (6000.0, 6500, 4), (500.0, 64_000, 4), (None, 6004, 4)],
)
def test_the_last_frames_of_clips_change_no_band_but_side_information_does(
    tmp_path, nominal, measured, number
):
    put(tmp_path, "codec", {"bitrate": [measured] * 4}, bitrate=nominal)
    assert band(group(tmp_path)[0]) == BANDS[number]


def test_without_a_bitrate_there_is_no_band(tmp_path):
    put(tmp_path, "codec", {"stoi": [0.5] * 4})
    assert band(group(tmp_path)[0]) == UNKNOWN
    put(tmp_path, "codec", {"stoi": [0.5] * 4}, bitrate=2000.0)
    assert band(group(tmp_path)[0]) == BANDS[2]


def test_a_constant_and_a_random_codec_are_first_in_nothing(folder):
    boards = Boards(group(folder))
    assert boards.rankings["tokens"] is None and boards.rankings["stability"] is None
    for ranking in filter(None, boards.rankings.values()):
        for ranks in ranking.columns.values():
            assert ranks["constant"] == ranks["dice"] == 5
            assert ranks["copying"] < 3 or "pairs_speaker" in ranking.columns
        assert min(ranking.mean, key=ranking.mean.get) not in ("constant", "dice")
    for front in boards.fronts:
        assert not {"constant", "dice"} & set(front.codecs)
    for board in boards.boards:
        for ranks in board.ranks.values():
            assert ranks.get("constant", 2) > 1 and ranks.get("dice", 2) > 1


def test_a_copying_codec_wins_quality_in_its_own_band_and_pushes_nobody_off(folder):
    boards = Boards(group(folder))
    assert boards.rankings["reconstruction"].columns["stoi"]["copying"] == 1
    assert {board.band: [r.codec for r in board.results] for board in boards.boards} == {
        BANDS[0]: ["constant", "low"], BANDS[1]: ["dice", "middle"], BANDS[4]: ["copying"],
    }  # fmt: skip
    ranks = {board.band: board.ranks for board in boards.boards}
    assert ranks[BANDS[1]]["stoi"] == {"dice": 2, "middle": 1} and ranks[BANDS[4]] == {}
    fronts = {(one.cost, one.column): one.codecs for one in boards.main_fronts}
    assert fronts["bitrate", "stoi"] == ["low", "middle", "copying"]
    assert fronts["lm_bitrate", "wer"] == ["low", "middle", "copying"]
    assert fronts["lm_bitrate", "continuation_similarity_true"] == ["low", "middle", "copying"]
    assert ("lm_bitrate", "pairs_speaker") not in fronts  # it measures the model, not the sound


def test_costs_are_shown_and_not_ranked(folder):
    files = leaderboard.build(folder)
    table = list(csv.DictReader(io.StringIO(files["leaderboard.csv"].decode())))
    costs = {"bitrate", "ngram_bitrate", "lm_bitrate", "lm_diverged", "ued"}
    rows = [row for row in table if row["column"] in costs]
    assert {row["column"] for row in rows} == costs
    assert not any(row["rank"] or row["band_rank"] or row["fronts"] for row in rows)
    row = next(r for r in table if (r["codec"], r["column"]) == ("middle", "stoi"))
    assert (row["band"], row["band_rank"], row["fronts"]) == (BANDS[1], "1", "bitrate lm_bitrate")


def test_the_leaderboard_names_bands_and_its_best(folder):
    lines = leaderboard.build(folder)["LEADERBOARD.md"].decode().splitlines()
    (middle,) = [line for line in lines if line.startswith("| middle ? | 0.75 to 1.5 kbit/s |")]
    (dice,) = [line for line in lines if line.startswith("| dice ? | 0.75 to 1.5 kbit/s |")]
    assert "**" in middle and "**" not in dice


def test_the_page_of_a_setting_has_bands_and_fronts(folder):
    page = site.build(folder)["smoke-v1-clips-0a0b0a0b.html"].decode()
    assert page.index('class="band"') < page.index("<svg")
    assert "On the front: low, middle, copying." in page
    assert [page.count(f"<span>{name}</span>") for name in BANDS] == [1, 1, 0, 0, 1]
    assert page.count("data-figure=") == len(Boards(group(folder)).main_fronts)


def test_drawings_stay_inside_their_frame(folder):
    boards = Boards(group(folder))
    known = results.columns(boards.group)
    for front in boards.main_fronts:
        drawn = figure(front, boards.group, known)
        assert {p.name for p in drawn.points} == {c for c, v in front.costs.items() if v > 0}
        for point in drawn.points:
            assert drawn.left <= point.x <= drawn.right
            assert drawn.top <= point.y <= drawn.floor
        assert len(drawn.y_ticks) >= 3 and drawn.path.count("V") == len(front.codecs) - 1


def test_labels_collide_with_no_label_and_no_marker(tmp_path):
    """Thirty codecs of nearly one rate and quality: what has no room gets no label."""
    for number in range(30):
        rows = {"stoi": spread(0.5 + 0.002 * number, seed=number)}
        rows["bitrate"] = [1000.0 + 9 * number] * 40
        put(tmp_path, f"a-codec-of-a-long-name-{number}", rows)
    boards = Boards(group(tmp_path))
    (front,) = [one for one in boards.main_fronts if one.column == "stoi"]
    drawn = figure(front, boards.group, results.columns(boards.group))
    labels = [fronts.label_box(p.label) for p in drawn.points if p.label]
    assert 1 < len(labels) < 30
    boxes = labels + [fronts.marker_box(point) for point in drawn.points]
    for place, one in enumerate(labels):
        assert one[0] >= drawn.left and one[2] <= drawn.width
        assert not any(fronts.overlap(one, other) for other in boxes[place + 1 :])


def test_the_figures_of_the_first_page(folder):
    (table,) = headline.tables(results.read_all(folder))
    drawn = {figure.key: figure for figure in fronts.headline_figures(table)}
    assert drawn["stoi"].front == ["low", "middle", "copying"]
    assert drawn["stoi"].titles[0].startswith("Bitrate, kbit/s")
    assert {point.kind for point in drawn["stoi"].points} == {"neural"}
    assert drawn["stoi"].legend == [("neural", "neural codec")]


def test_a_front_of_one_codec_and_equal_qualities_can_be_drawn(tmp_path):
    for name in ("one", "two"):
        put(tmp_path, name, {"stoi": [0.5] * 4, "bitrate": [800.0] * 4})
    boards = Boards(group(tmp_path))
    assert [front.codecs for front in boards.main_fronts] == [["one", "two"]]
    assert figure(boards.main_fronts[0], boards.group, results.columns(boards.group)).points


def test_a_single_codec_has_no_rank_and_no_front(tmp_path):
    put(tmp_path, "one", {"stoi": [0.5] * 4, "bitrate": [800.0] * 4})
    boards = Boards(group(tmp_path))
    assert boards.fronts == [] and boards.columns == []
    assert b"<svg" not in site.build(tmp_path)["index.html"]
