"""The notebook in examples/ runs from top to bottom, and what it says of its cells is so."""

import contextlib
import io
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "examples/quickstart.ipynb").read_text())


def cells(kind):
    return ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == kind]


def test_it_runs(tmp_path, monkeypatch):
    """The cells one after another, as a kernel runs them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIOTOK_CACHE", str(tmp_path / "cache"))
    names, said = {"__name__": "__main__"}, io.StringIO()
    with contextlib.redirect_stdout(said):
        for number, source in enumerate(cells("code")):
            source = source.replace("limit=2", "limit=1")  # PESQ and others take seconds
            exec(compile(source, f"cell {number}", "exec"), names)
    assert names["tokens"].codes.shape[1] == 12
    assert names["rough"].duration == names["copy"].duration
    assert set(names["table"].reset_index()["codec"]) >= {"rvq-small", "opus-6k"}
    assert names["losses"][-1] < names["losses"][0] / 2
    assert "nats per code" in said.getvalue()


def test_it_holds_no_output_of_some_machine():
    assert all(not cell["outputs"] for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code")


def test_its_links_lead_somewhere():
    import re

    for text in cells("markdown"):
        for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
            assert (ROOT / "examples" / target).exists(), target
