"""`verify`: published codes and numbers, its record, its exit code."""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import soundfile
import torch
import yaml
from support import result_kit

import audiotok
from audiotok import data
from audiotok.codec import checkpoints, registry
from audiotok.results import published, results, validating, verified
from audiotok.system import assets
from audiotok.testing import published_codes, verification

TABLES = yaml.safe_load((assets.folder("results/published") / "codes.yaml").read_text())


def test_published_codes_fit_the_cards():
    for name, entry in TABLES["codes"].items():
        card = registry.find_card(name)
        codes = torch.tensor(entry["codes"])
        assert len(codes) <= card.num_codebooks and codes.shape[1] >= 10
        assert int(codes.max()) < card.codebook_sizes[0] and 0.5 < entry["least"] <= 1
        assert entry["sound"] in TABLES["sounds"]
        source = TABLES["sources"][entry["source"]]
        assert source["link"].startswith("https://") and len(source["commit"]) == 40
    for name in TABLES["missing"]:
        assert registry.find_card(name) and name not in TABLES["codes"]


def entry_of(monkeypatch, codec, sound, change=0, least=0.9):
    """Published codes of the codec: its own, of which the first `change` differ."""
    codes = codec.encode(sound).codes[0, :, :20].clone()
    codes[0, :change] = (codes[0, :change] + 1) % 100
    entry = {"source": "dac", "sound": "s", "least": least, "codes": codes.tolist()}
    tables = {**TABLES, "codes": {codec.card.name: entry}}
    tables["sounds"] = {"s": TABLES["sounds"]["sine"], "quilter": TABLES["sounds"]["quilter"]}
    monkeypatch.setattr(published_codes, "_tables", lambda: tables)
    return tables


def test_published_codes_are_compared(monkeypatch):
    codec = audiotok.load("mulaw")
    sine = published_codes._sound(TABLES["sounds"]["sine"], False)
    assert sine.num_samples == 12_000 and float(sine.waveform.max()) == pytest.approx(0.5, abs=1e-3)
    entry_of(monkeypatch, codec, sine, change=1)
    assert published_codes.compare(codec).state == "equal"
    entry_of(monkeypatch, codec, sine, change=3)
    found = published_codes.compare(codec)
    assert found.state == "different" and "85 % of the codes are equal, expected 90 %" in found.why
    assert "dac/expected_integration.json, commit 47c08cd302ba" in found.why


def test_published_codes_whose_sound_is_not_here(monkeypatch, tmp_path):
    codec = audiotok.load("mulaw")
    tables = entry_of(monkeypatch, codec, published_codes._sound(TABLES["sounds"]["sine"], False))
    tables["codes"]["mulaw"]["sound"] = "quilter"
    monkeypatch.setattr(data.librispeech, "place", lambda name: tmp_path / name)
    found = published_codes.compare(codec)
    assert found.state == "unavailable"
    assert "1272-128104-0000 of librispeech/dev-clean, which is not on this machine" in found.why
    folder = tmp_path / "librispeech" / "dev-clean" / "1272" / "128104"
    folder.mkdir(parents=True)
    soundfile.write(folder / "1272-128104-0000.flac", [0.0] * 16_000, 16_000)
    (folder / "1272-128104.trans.txt").write_text("1272-128104-0000 MISTER QUILTER\n")
    monkeypatch.setattr(
        data.librispeech._download, "fetch_archive", lambda *a, **k: folder.parents[1]
    )
    found = published_codes.compare(codec)
    assert found.state == "unavailable" and "has no 1272-128104-0000 of 93680 samples" in found.why
    soundfile.write(folder / "1272-128104-0000.flac", [0.0] * 93_680, 16_000)
    assert published_codes.compare(codec).state == "different"


def test_unknown_and_missing_figures():
    found = published_codes.compare(audiotok.load("mulaw"))
    assert (found.state, found.why) == ("unavailable", "none are known of mulaw")


def test_published_numbers(monkeypatch):
    row = {
        "table": "t", "theirs_on": "librispeech/test-clean", "flag": "", "note": "", "low": 0.9,
        "high": 0.92, "ours": 0.91, "published": 0.95,
    }  # fmt: skip
    rows = [
        row | {"column": "stoi", "difference": -0.04},  # within 5 %
        row | {"column": "pesq", "published": 2.0, "difference": -1.09},
        row | {"column": "snr", "published": 0.901, "difference": 0.009},
        row | {"column": "similarity", "note": "other cosines", "difference": float("nan")},
        row | {"column": "wer", "flag": "contradicts itself", "difference": 0.0},
        row | {"column": "mos", "theirs_on": "musdb", "difference": 9.0},
    ]
    monkeypatch.setattr(published, "beside_result", lambda _: pd.DataFrame(rows))
    calls = []

    def bench(settings, observer, clips=2620):
        calls.append(settings)
        data = {"data": {"clips": clips}}
        return [SimpleNamespace(codec=name, summary=data) for name in ("reference", "mulaw@1234")]

    found = verification.published_numbers("mulaw", bench=bench)
    assert [(one.what.split()[0], one.state) for one in found] == [
        ("stoi", "equal"), ("pesq", "different"), ("snr", "equal"),
        ("similarity", "unavailable"), ("wer", "unavailable"),
    ]  # fmt: skip
    assert "0.91, published 2: further than 5 %" in found[1].why
    assert calls[0].tokenizer == ("mulaw",) and calls[0].data == "librispeech/test-clean"
    assert calls[0].suite == "speech" and not calls[0].baselines
    few = partial(bench, clips=3)
    (one,) = verification.published_numbers("mulaw", data="mine", bench=few)  # equals anything
    assert one.state == "unavailable" and "measured on 3 clips of mine" in one.why


def test_published_numbers_of_what_nobody_published(tmp_path):
    result_kit.put(tmp_path, "mulaw", {"stoi": [0.9] * 4})
    measured = results.read_all(tmp_path)
    (one,) = verification.published_numbers("mulaw", bench=lambda *_: measured)
    assert (one.state, one.why) == ("unavailable", "none are known of mulaw")


# --- the verb ----------------------------------------------------------------------------------


@pytest.fixture
def few_promises(monkeypatch):
    """The kit itself is tested elsewhere, and takes long."""
    from audiotok import testing

    monkeypatch.setattr(testing, "PROMISES", testing.PROMISES[:1])
    whole = testing.examine
    monkeypatch.setattr(
        testing,
        "examine",
        lambda codec, promises=None, **rest: whole(codec, testing.PROMISES, **rest),
    )


def test_a_shipped_codec_is_verified(audiotok, few_promises):
    code, out, err = audiotok("verify", "rvq-small")
    assert code == 0, err
    assert "as on the card" in out and "golden sound" in out
    assert "rvq-small equals all that it could be compared with (1 unavailable)" in out
    path = Path("results/verified/rvq-small.json")
    content = json.loads(path.read_text())
    assert (content["equal"], content["different"], content["unavailable"]) == (4, 0, 1)
    assert content["weights"]["sha256"] == content["weights"]["sha256_on_card"]
    assert verified.invalid_reason(path) is None
    assert validating.validate("results") == (1, [])
    assert audiotok("verify", "rvq-small", "--json")[0] == 0  # over the earlier record


def test_weights_with_a_flipped_sign_are_not_verified(audiotok, few_promises, tmp_path):
    state, metadata = checkpoints.read_state(checkpoints.BUNDLED / "rvq-small.safetensors")
    key = next(key for key in sorted(state) if key.startswith("backbone") and state[key].ndim > 1)
    checkpoints.save(tmp_path / "w.safetensors", state | {key: -state[key]}, metadata)
    code, out, _ = audiotok("verify", "rvq-small", "-c", str(tmp_path / "w.safetensors"))
    assert code == 1
    assert "rvq-small is not what it is compared with: weights, golden sound" in out


def test_what_was_compared_with_itself_only(audiotok, few_promises):
    code, out, _ = audiotok("verify", "mulaw")
    assert code == 0 and "mulaw was compared with itself only: nothing else was available" in out


def test_another_file_at_its_place_is_kept(audiotok, few_promises):
    path = Path("results/verified/mulaw.json")
    path.parent.mkdir(parents=True)
    path.write_text('{"a": 1}')
    code, _, err = audiotok("verify", "mulaw")
    assert code == 2 and "is not a record of `audiotok verify`" in err
    assert path.read_text() == '{"a": 1}'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(different=1), "different is 1, but 0 are"),
        (lambda c: c.update(kept=9), "kept is 9, but 1 are"),
        (lambda c: c.update(codec="other"), "it is of other: expected the name other.json"),
        (lambda c: c["comparisons"][0].update(state="passed"), "comparisons.0.state: Input should"),
        (lambda c: c.update(comparisons=[]), "comparisons: List should have at least 1 item"),
        (lambda c: c.pop("packages"), "packages: Field required"),
    ],
)
def test_records_that_are_not_whole(audiotok, few_promises, change, message):
    audiotok("verify", "mulaw")
    path = Path("results/verified/mulaw.json")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    assert verified.invalid_reason(path).startswith(message)
    code, out, err = audiotok("validate", "results")
    assert code == 1 and message in out + err
