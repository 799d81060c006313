"""Every family that can be trained: what comes out loads by its path and codes sound."""

import pytest
import yaml
from support import codec_files
from support.training_kit import TINY, write_corpus

import audiotok
from audiotok.errors import CheckpointError
from audiotok.training import train
from audiotok.training.families import DECODER, FAMILIES

MODELS = codec_files.SIZES | {"wavtokenizer": TINY["model"]}
BY_GRADIENTS = ("dac", "lm-spt")
OFFICIAL = {
    "wavtokenizer": "wavtokenizer-mini",
    "encodec": "encodec-24k",
    "dac": "dac-16k",
    "lm-spt": "lm-spt-12.5",
}


def test_all_families_are_here():
    assert MODELS.keys() == FAMILIES.keys() - {DECODER}  # has its own tests


@pytest.mark.parametrize("family", MODELS)
def test_it_trains_and_loads_by_its_path(family, tmp_path):
    corpus = write_corpus(tmp_path)
    losses = TINY["losses"] | ({"codebook": 1.0} if family in BY_GRADIENTS else {})
    recipe = TINY | {"family": family, "model": MODELS[family], "losses": losses}
    recipe["data"] = TINY["data"] | {"corpus": str(corpus / "manifest.tsv")}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(recipe))
    weights = train(path, (), tmp_path / "run")
    codec = audiotok.load(weights)
    sizes = {"wavtokenizer": (16,), "mini": (16, 16)}.get(family, (16, 16, 16))
    assert codec.card.family == family and codec.card.name.startswith("tiny@")
    assert (codec.sample_rate, codec.codebook_sizes) == (8000, sizes)
    # and not where it lies on this machine
    assert codec.card.training_data == (f"{corpus.name}/manifest.tsv",)
    assert codec.reconstruct(corpus / "0.wav").num_samples == 16000
    copy = tmp_path / "copy.safetensors"
    codec.save(copy)
    assert audiotok.load(copy).fingerprint == codec.fingerprint
    assert audiotok.load(copy).card.training_data == codec.card.training_data
    if len(sizes) > 1:
        fewer = audiotok.load(f"{weights}:codebooks=1,merge=2")
        tokens = fewer.encode(corpus / "0.wav")
        assert tokens.bitrate == pytest.approx(codec.frame_rate / 2 * 4, rel=0.02)
        assert codec.decode(tokens).num_samples == 8000
    if family in OFFICIAL:
        with pytest.raises(CheckpointError, match=f"is not {OFFICIAL[family]}"):
            audiotok.load(OFFICIAL[family], checkpoint=weights)
