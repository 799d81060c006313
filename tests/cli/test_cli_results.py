from __future__ import annotations

import json
import sys

import pytest
from support.result_kit import put, spread

from audiotok import cli


@pytest.fixture
def audiotok(tmp_path, monkeypatch, capsys):
    """Runs a command line; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results"
    put(root, "mimi-8", {"pesq": spread(2.5, seed=1), "stoi": [0.9] * 40}, num_codebooks=8)
    put(root, "opus-6k", {"pesq": spread(2.0, seed=2), "stoi": [0.9] * 40}, role="baseline")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["audiotok", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
            raise SystemExit(0)
        return ended.value.code or 0, *capsys.readouterr()

    return run


def test_compare(audiotok):
    code, out, err = audiotok("compare", "mimi-8", "opus-6k")
    assert (code, err) == (0, "")
    assert "smoke v1 on clips" in out and "pesq ↑ (MOS)" in out
    (pesq,) = [line for line in out.splitlines() if line.strip().startswith("pesq")]
    assert pesq.rstrip().endswith("mimi-8") and "[" in pesq and " 40 " in pesq
    (stoi,) = [line for line in out.splitlines() if line.strip().startswith("stoi")]
    assert stoi.rstrip().endswith("tie")
    listed = json.loads(audiotok("compare", "mimi-8", "opus-6k", "--json")[1])
    assert {row["column"] for row in listed} == {"pesq", "stoi", "seconds_encode"}


def test_compare_with_what_was_published(audiotok):
    code, out, err = audiotok("compare", "mimi-8", "--published")
    assert (code, err) == (0, "")
    assert "published: dates_reconstruction_speech, librispeech/test-clean" in out
    (pesq,) = [line for line in out.splitlines() if "Mimi-S-24" in line and " pesq " in line]
    assert " 2.220 " in pesq and "+0.2" in pesq
    assert audiotok("compare", "--published")[0] == 0
    listed = json.loads(audiotok("compare", "--published", "--json")[1])
    assert {"ours", "published", "difference", "flag", "note"} <= listed[0].keys()


def test_mistakes_are_one_line(audiotok):
    for words, messages in (
        ("compare mimi-8", "compare takes two codecs, not 1"),
        ("compare mimi-8 opus", "opus was not measured: did you mean opus-6k?"),
        ("compare mimi-8 opus-6k --data x", "has the data x: there is clips"),
        ("compare opus-6k --published", "has nothing of opus-6k"),
        ("validate nowhere", "nowhere is not a folder"),
    ):
        code, _, err = audiotok(*words.split())
        assert code == 2 and err.startswith("audiotok: ") and messages in err
        assert len(err.splitlines()) == 1


def test_validate(audiotok, tmp_path):
    code, out, _ = audiotok("validate")
    assert (code, out) == (0, "2 results, 0 errors, 0 warnings\n")
    folder = put(tmp_path / "results", "zebra", {"pesq": spread(2)}, packages={"pesq": "9"})
    code, out, _ = audiotok("validate", "results")
    assert code == 1 and "mixed: pesq is 0.0.4 in the one and 9 in the other" in out
    assert out.splitlines()[-1] == "3 results, 1 errors, 0 warnings"
    code, _, err = audiotok("leaderboard")
    assert code == 2 and "zebra are mixed: pesq is 0.0.4 in the one and 9" in err
    (folder / "run.json").unlink()
    code, out, _ = audiotok("validate", "--json")
    content = json.loads(out)
    assert code == 1 and content["errors"] == 1
    assert "run.json missing" in content["findings"][0]["text"]


def test_the_site_and_its_check(audiotok, tmp_path):
    assert audiotok("leaderboard", "--site", "site", "--no-sounds") == (0, "site/index.html\n", "")
    assert audiotok("leaderboard", "--site", "site", "--check")[0] == 0
    (tmp_path / "site" / "index.html").write_text("edited")
    code, _, err = audiotok("leaderboard", "--site", "site", "--check")
    assert code == 1 and "site/index.html is not what results gives" in err
    assert not (tmp_path / "LEADERBOARD.md").exists()


def test_model_index(audiotok):
    code, out, err = audiotok("model-index", "mimi-8")
    assert (code, err) == (0, "") and out.startswith("---\n") and "type: pesq" in out


def test_report(audiotok, tmp_path):
    code, out, _ = audiotok("report", "-t", "mulaw", "--clips", "kal_0", "-o", "site/listening")
    assert (code, out) == (0, "site/listening/index.html\n")
    about = json.loads((tmp_path / "site/listening/about.json").read_text())
    assert about == {"corpus": "bundled", "codecs": ["mulaw"], "clips": ["kal_0"]}
