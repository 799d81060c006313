"""benchmarks/report.py plots the columns that the captions name, and no labels overlap."""

import importlib
import re
import sys
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def scripts():
    """The modules report and pictures."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return tuple(map(importlib.import_module, ("report", "pictures")))
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def plots(scripts):
    """(x column, panels, points, figure) of each picture in a document."""
    (report, pictures), found = scripts, {}
    for document in ("README.md", "docs/lm.md"):
        for match in report.MARKED.finditer((ROOT / document).read_text()):
            if match["picture"]:
                pairs, x, panels = report.plotted(match)
                points = pictures.points(pairs, x, panels)
                found[match["picture"]] = x, panels, points, pictures.scatter(pairs, x, panels)
    return found


def test_the_figure_of_the_language_model_shows_bits_under_the_model(plots):
    x, panels, points, figure = plots["docs/lm.svg"]
    assert x == "lm_bitrate" and panels == ["stoi", "mel_distance", "speaker_similarity"]
    assert {axis.get_xlabel() for axis in figure.axes} == {"bits under the language model (bit/s)"}
    text = (ROOT / "docs/lm.md").read_text()
    mean = re.search(r"\| wavtokenizer-mini \| (\d+) \(", text)[1]
    assert {round(p.x) for p in points if p.codec == "wavtokenizer-mini"} == {int(mean)}


def test_every_point_is_drawn_where_it_was_measured(plots):
    for _, panels, points, figure in plots.values():
        for axis, panel in zip(figure.axes, panels, strict=True):
            drawn = {
                (float(x), float(y))
                for line in axis.lines
                if line.get_linestyle() == "None"
                for x, y in zip(*line.get_data(), strict=True)
            }
            assert drawn == {(p.x, p.y) for p in points if p.panel == panel and p.x is not None}


def test_no_labels_overlap(plots):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for name, (*_, figure) in plots.items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        texts = [text for legend in figure.legends for text in legend.get_texts()]
        for axis in figure.axes:
            texts += [axis.title, axis.xaxis.label]
            for labels, (low, high), i in (
                (axis.get_xticklabels(), sorted(axis.get_xlim()), 0),
                (axis.get_yticklabels(), sorted(axis.get_ylim()), 1),
            ):
                texts += [t for t in labels if t.get_text() and low <= t.get_position()[i] <= high]
        boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts]
        for (one, a), (other, b) in combinations(boxes, 2):
            assert not a.overlaps(b), f"{name}: {one!r} overlaps {other!r}"


def test_the_front_follows_the_direction_of_a_column(plots):
    import pictures

    points = [pictures.Point("p", str(x), "c", x, y, None) for x, y in ((1, 5), (2, 7), (3, 4))]
    assert [p.x for p in pictures._front(points, True)] == [1, 2]
    assert [p.x for p in pictures._front(points, False)] == [1, 3]


def test_a_table_by_speaker_weighs_clips_as_the_mean_does(scripts):
    """Word errors of a speaker are all errors by all words, not the mean of the rates of clips."""
    report, column = scripts[0], "wer_whisper_base"
    setting = next((ROOT / "results/speech-v2").glob("librispeech-mini-test-*"))
    measured = report.measured(str(setting.relative_to(ROOT)))
    result = next(r for r in measured if r.codec == "rvq-small")
    head, _, row = report.by_speaker([result], column).splitlines()
    rows = result.rows.assign(errors=result.rows[column] * result.rows.words_whisper_base)
    for name, cell in zip(head.split("|")[2:-1], row.split("|")[2:-1], strict=True):
        clips = rows[rows.speaker == name.split()[-1]]
        assert float(cell) == pytest.approx(
            clips.errors.sum() / clips.words_whisper_base.sum(), abs=6e-4
        )
        assert abs(float(cell) - clips[column].mean()) > 1e-3
