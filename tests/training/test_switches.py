"""Scripts that compare trainings: switches change one thing each; tables go on from kept rows."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import audiotok
from audiotok.errors import RecipeError
from audiotok.system import assets
from audiotok.training import codebooks, families, load_recipe

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = (
    "steps=3", "validate_every=3", "save_every=3", "trackers=[]", "threads=1", "data.workers=0",
    "data.clips=null", "data.batch_size=2", "data.crop_seconds=0.3", "data.additional=[]",
    "data.validation_fraction=0.34", "data.validation_metrics=[]", "model.sample_rate=8000",
    "model.convnext.widths=[8, 8]", "model.convnext.depths=[1, 1]", "model.dimension=8",
    "losses.mel_bands={128: 16}", "quantizer.start_step=1", "quantizer.kmeans_latents=64",
)  # fmt: skip
SMALL = {"rvq": "codebook_size=8", "svq": "codebook_size=16", "fsq": "levels=[2, 2]"}


@pytest.fixture
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("ablation")


def recipe_of(switch, *overrides):
    path = assets.find("recipes", "switches", RecipeError)
    return load_recipe(path, [f"axes.switch={switch}", *overrides])


def changed(one, other, where=""):
    """The keys in which two dumped recipes differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return {
            c for k in keys for c in changed(one.get(k), other.get(k), f"{where}.{k}".strip("."))
        }
    return set() if one == other else {where}


@pytest.mark.parametrize(
    ("switch", "keys"),
    [
        ("magnitude", {"losses.complex_stft", "losses.stft"}),
        ("elu", {"model.convnext.activation"}),
        ("snake", {"model.convnext.activation"}),
        ("rotation", {"quantizer.gradient"}),
        (
            "factorized",
            {"model.quantizer.kind", "model.quantizer.codebook_dim", "losses.codebook"},
        ),
    ],
)
def test_a_switch_changes_one_thing(switch, keys):
    base, other = (recipe_of(name).model_dump() for name in ("base", switch))
    assert changed(base, other) == keys | {"name"}


def test_the_rates_are_equal(ablation):
    for switch in ablation.SWITCHES:
        recipe = recipe_of(switch)
        network = families.build(recipe.family, recipe.model)
        bits = sum(size.bit_length() - 1 for size in codebooks.sizes(network.quantizer))
        rate = bits * recipe.model.sample_rate / network.hop_length
        assert rate == (1200 if switch in ("rvq", "svq", "fsq") else 6000)


def test_all_switches_train_are_measured_once_and_go_into_the_table(
    ablation, corpus, tmp_path, monkeypatch, capsys
):
    trained = []
    real = ablation.train
    monkeypatch.setattr(
        ablation,
        "train",
        lambda recipe, overrides, out, **how: (
            trained.append(out.name)
            or real(recipe, [o for o in overrides if "additional.0" not in o], out, **how)
        ),
    )
    monkeypatch.setattr(
        ablation.measured,
        "rows",
        lambda codec, corpus: [
            {"clip": f"{c}", "speaker": f"{c % 3}", "stoi": 0.1, "pesq": 1.0, "mel_distance": 1.0}
            for c in range(6)
        ],
    )
    rows, document = tmp_path / "rows.csv", tmp_path / "page.md"
    for switch in ablation.SWITCHES:
        small = SMALL.get(switch, "codebook_size=8")
        arguments = ["run", f"--corpus={corpus}", "--spoken=-", "--test=-", "--seeds", "1"]
        arguments += [f"--out={tmp_path / 'runs'}", f"--rows={rows}", "--switches", switch, "--"]
        monkeypatch.setattr(
            sys, "argv", ["ablation.py", *arguments, *TINY, f"model.quantizer.{small}"]
        )
        assert ablation.main() == 0 and ablation.main() == 0
    assert trained == [f"{switch}-1" for switch in ablation.SWITCHES]
    codec = audiotok.load(tmp_path / "runs/snake-1/model.safetensors")
    assert any(key.endswith("activation.alpha") for key in codec.network.state_dict())
    document.write_text(f"above\n{ablation.BEGIN}old\n{ablation.END}\nbelow\n")
    monkeypatch.setattr(sys, "argv", ["ablation.py", "table", str(document), f"--rows={rows}"])
    assert ablation.main() == 0
    text = document.read_text()
    assert text.startswith("above\n") and text.endswith("below\n") and "old" not in text
    assert "| rotation trick | straight-through | 1 | +0.000 [+0.000, +0.000]" in text
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--check"])
    assert ablation.main() == 0
    document.write_text(text.replace("+0.000", "+0.100", 1))
    assert ablation.main() == 1
    document.write_text("no marks")
    assert ablation.main() == 2 and "expected one line" in capsys.readouterr().out


def test_better_is_what_is_better_with_every_seed(ablation):
    rng = np.random.default_rng(0)
    parts = []
    for seed in (1, 2):
        noise = 0.001 * rng.standard_normal(20)
        for switch, stoi, pesq in (("snake", 0.8, 1.5), ("elu", 0.7, 1.4 + 0.2 * (seed - 1))):
            parts.append(
                pd.DataFrame(
                    {"switch": switch, "seed": seed, "clip": range(20), "mel_distance": stoi}
                    | {"speaker": [f"s{n % 5}" for n in range(20)]}
                    | {"stoi": stoi + noise * (switch == "elu"), "pesq": pesq + noise * (seed == 3)}
                )
            )
    lines = ablation.table(pd.concat(parts)).splitlines()
    assert lines[-1] == "| snake | ELU | better | snake | tie | ELU |"
    assert lines[2].startswith("| snake | ELU | 1 | +0.100 [+0.")


@pytest.mark.parametrize("speakers", [["1", "2", "3"], [1, 2, 3]])
def test_intervals_are_over_speakers_also_if_their_names_are_numbers(ablation, speakers):
    one = pd.DataFrame({"clip": range(30), "speaker": speakers * 10, "stoi": [0.1, 0.2, 0.6] * 10})
    estimate = ablation.measured.difference(one, one.assign(stoi=0.0), "stoi")
    half = 4.3027 * np.std([0.1, 0.2, 0.6], ddof=1) / np.sqrt(3)  # t with 2 degrees of freedom
    assert estimate.value == pytest.approx(0.3)
    assert estimate.ci95 == pytest.approx([0.3 - half, 0.3 + half], abs=1e-3)


def test_a_gradient_needs_codewords():
    with pytest.raises(RecipeError, match="quantizer.gradient rotation needs codewords"):
        recipe_of("fsq", "quantizer.gradient=rotation")


def test_decoders_are_compared_on_one_corpus(tmp_path, monkeypatch, capsys):
    """Rows that a file has are kept; rows of other clips are refused."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    decoders, path = importlib.import_module("decoders"), tmp_path / "rows.csv"
    clips = [clip.id for clip in audiotok.data.load("bundled")]
    kept = {"clip": clips, "speaker": clips, "codec": "rvq-small", "rate": 0.0, "kind": "none"}
    pd.DataFrame(kept).to_csv(path, index=False)
    monkeypatch.setattr(decoders.measured, "rows", None)  # measures nothing again
    arguments = ["decoders.py", "rvq-small", "--data", "bundled", "--csv", str(path)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert decoders.main() == 0
    pd.DataFrame(kept).iloc[1:].to_csv(path, index=False)
    assert decoders.main() == 2 and "has rows of other clips than" in capsys.readouterr().out
