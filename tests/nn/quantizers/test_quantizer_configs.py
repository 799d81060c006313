"""Quantizers as data: each kind builds what it says, and nonsense is refused."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from audiotok.nn.quantizers import AnyQuantizer, codebooks_of, losses_of

READ = TypeAdapter(AnyQuantizer).validate_python
KINDS = {
    "vq": ({"codebook_size": 16}, (16,), {"commitment"}),
    "rvq": ({"num_codebooks": 3, "codebook_size": 16}, (16,) * 3, {"commitment"}),
    "factorized": (
        {"num_codebooks": 2, "codebook_size": 16, "codebook_dim": 4},
        (16, 16),
        {"commitment", "codebook"},
    ),
    "grouped": ({"num_codebooks": 2, "codebook_size": 16}, (16, 16), {"commitment"}),
    "fsq": ({"levels": [4, 5, 3]}, (60,), {"commitment"}),
    "lfq": ({"bits": 8}, (256,), {"commitment", "entropy"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_builds_what_it_says(kind):
    torch.manual_seed(0)
    options, sizes, names = KINDS[kind]
    config = READ({"kind": kind, **options})
    config.check(8)
    quantizer = config.build(8)
    assert config.codebook_sizes == sizes
    assert tuple(len(codebook) for codebook in codebooks_of(quantizer)) == sizes
    assert config.strides == (1,) * len(sizes)
    for buffer in quantizer.buffers():
        if kind in ("vq", "rvq", "grouped"):
            buffer.normal_()
    result = quantizer(torch.randn(2, 8, 50))
    assert result.codes.shape == (2, len(sizes), 50)
    losses = losses_of(result)
    assert losses.keys() == names
    assert all(loss.ndim == 0 for loss in losses.values())
    assert losses["commitment"] is result.commitment


def test_options_reach_the_residual_quantizer():
    config = READ(
        {"kind": "rvq", "num_codebooks": 3, "codebook_size": 16, "codebook_dim": 4,
         "frames_per_code": [4, 2, 1]}
    )  # fmt: skip
    quantizer = config.build(8)
    assert quantizer.strides == config.strides == (4, 2, 1)
    assert quantizer.codebooks.shape == (3, 16, 4)


def test_a_lookup_free_one_takes_its_options():
    quantizer = READ({"kind": "lfq", "bits": 4, "spherical": True, "diversity": 2.0}).build(4)
    assert quantizer.scale == 0.5 and quantizer.diversity == 2.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "kmeans"}, "kind"),
        ({"kind": "vq", "codebook_size": 0}, "greater than 0"),
        ({"kind": "vq", "codebook_size": 8, "levels": [2]}, "Extra inputs"),
        ({"kind": "fsq", "levels": []}, "at least 1 item"),
        ({"kind": "fsq", "levels": [1]}, "greater than 1"),
        ({"kind": "rvq", "num_codebooks": 0, "codebook_size": 4}, "greater than 0"),
        (
            {"kind": "rvq", "num_codebooks": 2, "codebook_size": 4, "frames_per_code": [2]},
            "do not fit 2 codebooks",
        ),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        READ(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "grouped", "num_codebooks": 3, "codebook_size": 4}, "into 3 equal groups"),
        ({"kind": "lfq", "bits": 10}, "8 dimensions of the latents for a code of 10 bits"),
    ],
)
def test_latents_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        READ(options).check(8)
