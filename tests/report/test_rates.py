"""Density and curves from results written by hand."""

import math

import numpy as np
import pytest
from support.result_kit import whole

import audiotok
from audiotok.codec import registry
from audiotok.errors import CodecError, ResultsError
from audiotok.report import rates
from audiotok.results import results
from audiotok.results.results import Result

BETTER = {"stoi": True, "mel_distance": False, "token_rate": None, "bitrate": False, "dwer": False}


def _result(name, role="neural", family="toy", options=None, folder="s/d", **scores):
    codec = {"name": name, "role": role, "family": family, "options": options or {}}
    fixed = {"ci95": None, "n": 4, "failed": 0, "unit": "", "digits": 3}
    fixed |= {"description": "", "task": "quality"}
    about = {
        key: fixed | {"mean": value, "higher_is_better": BETTER[key]}
        for key, value in scores.items()
    }
    from pathlib import Path

    summary, run = whole({"codec": codec, "scores": about}, {"times": {}})
    return Result(Path(folder) / name, summary, run)


def test_density_by_hand():
    measured = audiotok.density([
        _result("reference", "ceiling", stoi=1.0),
        _result("good", stoi=0.9, token_rate=75.0, bitrate=900.0, dwer=0.2),
        _result("low", stoi=0.7, token_rate=1.0, bitrate=1.0, dwer=0.6),
    ])  # fmt: skip
    assert list(measured.index) == ["good", "low"]
    assert measured.loc["good", "stoi_per_token"] == pytest.approx(1.2)
    assert measured.loc["good", "stoi_per_bit"] == pytest.approx(100)
    assert measured.loc["good", "accuracy_per_token"] == pytest.approx(80 / 75)
    assert math.isnan(measured.loc["good", "speaker_similarity_per_bit"])
    assert measured.loc["low"].drop(["token_rate", "bitrate"]).isna().all()  # below every gate


def test_a_curve_has_all_counts_and_merge_rates():
    variants = {"a:codebooks=1": (500, 0.6), "a:codebooks=2": (1000, 0.8), "a": (2000, 0.9),
                "a:merge=2/2/2": (1000, 0.7), "a:codebooks=1,merge=2": (250, 0.5)}  # fmt: skip
    measured = [
        _result(name, options=_options(name), stoi=q, bitrate=b, token_rate=b / 10)
        for name, (b, q) in variants.items()
    ]
    measured.append(_result("opus-6k", "baseline", "opus", stoi=0.8, bitrate=6000.0))
    measured.append(_result("random", "floor", "random", stoi=0.1, bitrate=900.0))
    points, areas = audiotok.rate_quality(measured)
    assert set(points["curve"]) == {"a", "opus"}
    assert list(points[points["front"]]["codec"]) == [
        "a:codebooks=1,merge=2", "a:codebooks=1", "a:codebooks=2", "a", "opus-6k",
    ]  # fmt: skip
    assert areas.loc["a", "points"] == 5
    assert areas.loc["a", "area"] == pytest.approx((0.55 + 0.7 + 0.85) / 3)  # octaves
    assert math.isnan(areas.loc["opus", "area"])
    _, areas = audiotok.rate_quality(measured, bits=(1000, 4000))
    assert areas.loc["a", "area"] == pytest.approx((0.85 + 0.9) / 2)
    assert math.isnan(areas.loc["opus", "area"])


def _options(name):
    text = name.partition(":")[2]
    return dict(part.split("=") for part in text.split(",") if part)


def test_where_lower_is_better():
    measured = [_result(f"a:codebooks={k}", options={"codebooks": k}, mel_distance=m, bitrate=k)
             for k, m in ((1, 3.0), (2, 3.5), (4, 1.0))]  # fmt: skip
    points, areas = audiotok.rate_quality(measured, "mel_distance")
    assert list(points["front"]) == [True, False, True]
    assert areas.loc["a", "area"] == 2


def test_area_by_hand():
    x, y = np.array([1.0, 2.0, 8.0]), np.array([0.0, 1.0, 3.0])
    assert rates.area(x, y, 1, 8) == pytest.approx((0.5 + 2 * 2) / 3)
    assert rates.area(x, y, 2, 4) == pytest.approx(1.5)
    assert rates.area(x, y, 8, 16) == 3
    assert math.isnan(rates.area(x, y, 0.5, 8)) and math.isnan(rates.area(x, y, 2, 2))


@pytest.mark.parametrize(
    ("name", "options", "role", "curve"),
    [
        ("mimi", {}, "neural", "mimi"),
        ("mimi:codebooks=2,merge=2/2", {"codebooks": 2, "merge": [2, 2]}, "neural", "mimi"),
        ("m@0123abcd:merge=2", {"merge": [2]}, "neural", "m@0123abcd"),
        ("m:merge=2@0123abcd", {"merge": [2]}, "neural", "m@0123abcd"),
        ("m:merge=2,x=1", {"merge": [2], "x": 1}, "neural", "m:x=1"),
        ("hf:org/name", {}, "neural", "hf:org/name"),
        ("opus-6k", {}, "baseline", "toy"),
    ],
)
def test_curves_of_names(name, options, role, curve):
    assert rates.curve_of(_result(name, role, options=options)) == curve


def test_settings_are_never_mixed(tmp_path):
    with pytest.raises(ResultsError, match="is not a folder"):
        audiotok.density(tmp_path / "none")
    with pytest.raises(ResultsError, match="holds 0 settings"):
        audiotok.density(tmp_path)
    for data in "de":
        one = _result("a", stoi=0.9, token_rate=10.0, bitrate=100.0)
        folder = tmp_path / "s" / data / "a"
        folder.mkdir(parents=True)
        summary, run = whole(one.summary, one.run)
        results.write_json(folder / "summary.json", summary)
        results.write_json(folder / "run.json", run)
    with pytest.raises(ResultsError, match="holds 2 settings .*name one"):
        audiotok.density(tmp_path)
    assert audiotok.density(tmp_path / "s" / "d").loc["a", "stoi_per_token"] == 9
    with pytest.raises(ResultsError, match="'level' is no quality .* expected one of .*stoi"):
        audiotok.rate_quality(tmp_path / "s" / "d", "level")


def test_stars_stand_for_all_counts_and_rates():
    assert registry.expand("snac-24k") == ["snac-24k"]
    names = registry.expand("dac-16k:codebooks=*")
    assert names[0] == "dac-16k:codebooks=1" and names[-1] == "dac-16k"
    assert len({registry.find_card(name).bitrate for name in names}) == len(names)
    names = registry.expand("encodec-24k:codebooks=*,merge=*,precision=fast")
    assert len(names) == 4 * len(registry.find_card("encodec-24k").codebook_counts)
    assert names[5] == "encodec-24k:precision=fast,codebooks=2,merge=2/2"
    cards = [registry.find_card(name) for name in names]
    assert cards[5].strides == (2, 2) and len({card.name for card in cards}) == len(names)
    assert registry.expand("opus-6k:merge=*") == ["opus-6k"]
    with pytest.raises(CodecError):
        registry.expand("nothing:merge=*")
