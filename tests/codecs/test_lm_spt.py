"""LM-SPT: its checkpoint, its arithmetic written out again, its options, and what it refuses."""

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from support import tiny_lm_spt as tiny
from support.parity import assert_close_to_peak
from support.promises import OF_THE_CARD
from support.stack_parity import speech

import audiotok
from audiotok.errors import CheckpointError, CodecError
from audiotok.nn.lm_spt import DACEncoderConfig, LMSPTConfig, LMSPTNetwork
from audiotok.testing import check_codec


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A file in the official format."""
    return tiny.save_official(tiny.network(), tmp_path_factory.mktemp("spt") / "spt.safetensors")


@pytest.fixture(scope="module")
def codec(official):
    return audiotok.load("lm-spt", checkpoint=official)


@pytest.fixture(scope="module")
def auxiliary(official):
    return audiotok.load("lm-spt-12.5:semantic_only=auxiliary", checkpoint=official)


def test_the_official_file_loads_strictly_and_says_its_licence(official, codec, caplog):
    ours = tiny.network().state_dict()
    for key, tensor in codec.network.state_dict().items():
        torch.testing.assert_close(tensor, ours[key], rtol=1e-5, atol=1e-7)
    with caplog.at_level(logging.WARNING, "audiotok"):
        audiotok.load("lm-spt-12.5", checkpoint=official)
    assert "weights of lm-spt-12.5 are under CC-BY-NC-4.0" in caplog.text


def test_it_is_as_large_as_the_released_one():
    with torch.device("meta"):
        network = LMSPTNetwork(LMSPTConfig())
    counts = {n: sum(p.numel() for p in m.parameters()) for n, m in network.named_children()}
    # folded weights: one gain for each output less; the official sizes are 16,238,144 and so on
    gains = {n: sum(_gains(m) for m in module.modules()) for n, module in network.named_children()}
    assert {n: counts[n] + gains[n] for n in counts} == {
        "semantic_encoder": 16_238_144,
        "acoustic_encoder": 16_238_144,
        "decoder": 40_446_770,
        "auxiliary_decoder": 1_221_130,
        "quantizer": 508_032,
    }


def _gains(module):
    return len(module.weight) if isinstance(module, torch.nn.modules.conv._ConvNd) else 0


def test_the_acoustic_codes_quantize_what_the_semantic_one_leaves(codec):
    network, waveform = codec.network, speech(24000, 2)
    with torch.no_grad():
        codes = codec._encode(waveform)
        semantic = network.quantizer.semantic.stages[0]
        first = semantic.encode(network.semantic_encoder(waveform))
        residual = network.acoustic_encoder(waveform) - semantic.decode(first)
        expected, total = [first], semantic.decode(first)
        for stage in network.quantizer.acoustic.stages:
            expected.append(stage.encode(residual))
            total = total + stage.decode(expected[-1])
            residual = residual - stage.decode(expected[-1])
        assert torch.equal(codes, torch.cat(expected, 1))
        assert_close_to_peak(codec._decode(codes), network.decoder(total))
    assert codes.shape == (1, 8, 25)


@pytest.mark.usefixtures("forked_processes")
def test_keeps_every_promise(codec, auxiliary):
    check_codec(codec, OF_THE_CARD)  # all of them: lm-spt-mini in test_conformance
    of_the_decoder = ("card", "tokens only", "lengths", "tensor level")
    check_codec(auxiliary, [one for one in OF_THE_CARD if one.name in of_the_decoder])


def test_the_semantic_codebook_decodes_alone(codec, auxiliary, official):
    sound = (speech(24000, 2)[0, :, :47_000], 24000)
    first = codec.encode(sound).first(1)
    main = audiotok.load("lm-spt:semantic_only=main", checkpoint=official)
    assert torch.equal(main.encode(sound).codes, first.codes)
    assert torch.equal(auxiliary.encode(sound).codes, first.codes)
    assert (main.card.bitrate, auxiliary.card.bitrate) == (175, 175)
    assert torch.equal(main.decode(main.encode(sound)).waveform, codec.decode(first).waveform)
    small = auxiliary.decode(auxiliary.encode(sound))
    assert (small.sample_rate, small.num_samples) == (16000, 31_334)  # of 47,000 at 24 kHz
    network = codec.network
    with torch.no_grad():
        vectors = network.quantizer.semantic.decode(first.codes)
        expected = network.auxiliary_decoder(vectors)[0, :, :31_334]
    assert_close_to_peak(small.waveform, expected)
    assert not torch.equal(codec.decode(first).waveform, codec.decode(codec.encode(sound)).waveform)


def test_decoders_of_odd_strides_come_4_samples_short_and_zeros_make_up(codec):
    network, frames = codec.network, torch.randn(1, 32, 7)
    with torch.no_grad():
        assert network.decoder.layers(frames).shape[-1] == 7 * 1920 - 4
        assert network.auxiliary_decoder.layers(frames).shape[-1] == 7 * 1280 - 4
        assert not network.decoder(frames)[..., -4:].any()


@pytest.mark.parametrize("merge", ["2", "4/2/1"])
def test_merging(merge, codec, official):
    count = merge.count("/") + 1
    merged = audiotok.load(f"lm-spt:codebooks={count},merge={merge}", checkpoint=official)
    tokens = merged.encode((speech(24000, 2)[0], 24000))
    assert tokens.strides == tuple(map(int, merge.split("/")))
    assert merged.decode(tokens).num_samples == 48000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("semantic_only=yes", "option semantic_only of lm-spt-12.5 is a choice of main, auxiliary"),
        ("semantic_only=main,codebooks=3", "semantic_only and codebooks=3 do not fit"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(CodecError, match=message):
        audiotok.load(f"lm-spt-12.5:{options}", checkpoint="not looked for")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("semantic_encoder.block.0.bias"), "missing: semantic_encoder.layers.0.b"),
        (lambda s: s.pop("quantizer.rvq_first.quantizers.0.codebook.weight"), "not a whole LM-SPT"),
        (lambda s: s.update({"surplus": torch.ones(1)}), "extra: surplus"),
        (
            lambda s: s.pop("quantizer.rvq_rest.quantizers.6.codebook.weight"),
            r"its codebook_sizes is \(16384(, 4096){6}\), the card says \(16384(, 4096){7}\)",
        ),
    ],
)
def test_keys_that_do_not_fit_are_named(change, message, official, tmp_path):
    state = load_file(official)
    change(state)
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match=message) as refusal:
        audiotok.load("lm-spt", checkpoint=tmp_path / "weights.safetensors")
    assert "\n" not in str(refusal.value)


def test_rates_of_encoders_and_decoders_must_agree():
    with pytest.raises(ValueError, match=r"decoder takes 12.5 frames per second for its 24000 Hz"):
        LMSPTConfig(encoder=DACEncoderConfig(strides=(4, 5, 6, 8), num_filters=32))
