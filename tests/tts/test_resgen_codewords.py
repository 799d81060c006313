"""What ResGen takes of a codec: codewords that add up, and deviations at each depth."""

import json

import pytest
import torch

from audiotok.codec import registry
from audiotok.errors import CodecError
from audiotok.sound.audio import Audio
from audiotok.tts.resgen import codewords as module
from audiotok.tts.resgen.codewords import codewords, deviations, measure


@pytest.fixture(scope="module")
def codec():
    return registry.load("rvq-small")


def sounds(count=3):
    generator = torch.Generator().manual_seed(0)
    return [Audio(0.1 * torch.randn(1, 8000, generator=generator), 16000) for _ in range(count)]


def test_codewords_are_those_of_the_codec_and_add_up(codec):
    books = codewords(codec)
    assert all(map(torch.equal, books, codec._codebooks()))
    codes = torch.randint(0, books.shape[1], (1, len(books), 9))
    summed = sum(book[codes[0, layer]] for layer, book in enumerate(books))
    assert torch.allclose(summed, codec.dequantize(codes)[0].T, atol=1e-5)
    assert torch.equal(codewords(codec, 2), books[:2])


def test_codewords_behind_projections_are_differences(codec, monkeypatch):
    expected = codewords(codec)
    monkeypatch.setattr(codec, "_codebooks", lambda: None)
    assert torch.allclose(codewords(codec), expected, atol=1e-5)


def test_deviations_are_those_of_what_each_stage_quantizes(codec):
    values = measure(codec, sounds())
    latents = torch.cat([
        codec.encode_latents(one.converted(1, codec.card.sample_rate_in)[None])[0].T
        for one in sounds()
    ])  # fmt: skip
    quantizer_codes = codec.quantize(latents.T[None])
    books = codewords(codec)
    for layer in range(len(books)):
        left = latents - (
            codec.dequantize(quantizer_codes[:, :layer])[0].T if layer else torch.zeros(())
        )
        assert float(values[layer]) == pytest.approx(float(left.var(0).mean().sqrt()), rel=1e-4)
    with pytest.raises(CodecError, match="need one sound or more"):
        measure(codec, [])


def test_deviations_are_kept_by_the_fingerprint(codec, tmp_path):
    path = tmp_path / "kept.json"
    kept = [{"fingerprint": codec.fingerprint, "deviations": [3.0, 2.0, 1.0]}]
    path.write_text(json.dumps(kept))
    assert deviations(codec, 2, path).tolist() == [3.0, 2.0]
    with pytest.raises(CodecError, match="no deviations of 4 codebooks of rvq-small"):
        deviations(codec, 4, path)
    path.write_text("{")
    with pytest.raises(CodecError, match="holds no deviations"):
        deviations(codec, 2, path)


def test_what_ships_is_of_lyra_and_of_our_residual_codec():
    entries = json.loads(module.SHIPPED.read_bytes())
    depths = {entry["codec"]: len(entry["deviations"]) for entry in entries}
    assert depths == {"lyra-v2": 46, "rvq-small": 12}
    for entry in entries:
        assert sorted(entry["deviations"], reverse=True) == entry["deviations"]
    deviations(registry.load("rvq-small"), 12)  # of the weights that ship


def test_codecs_of_other_kinds_are_refused(codec, monkeypatch):
    with pytest.raises(CodecError, match="ResGen needs 60 of one size"):
        codewords(codec, 60)
    dequantize = codec.dequantize
    monkeypatch.setattr(codec, "dequantize", lambda codes: dequantize(codes).square())
    with pytest.raises(CodecError, match="do not add up to its latents"):
        codewords(codec)
