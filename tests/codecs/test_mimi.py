"""Mimi's own ways: causal, its semantic codebook apart, codebooks that are sums by usage."""

import pytest
import torch

import audiotok
from audiotok.codecs.mimi import Mimi
from audiotok.errors import CodecError

pytest.importorskip("transformers", minversion="5.23")
from support import tiny_transformers as tiny  # noqa: E402
from support.batches_of_streams import assert_equals_single_streams  # noqa: E402
from transformers import DynamicCache  # noqa: E402

HOP = 1920


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tiny.mimi, tmp_path_factory.mktemp("mimi"))


def test_cards():
    eight, all_32 = Mimi.CARDS
    assert (eight.frame_rate, eight.token_rate, eight.bitrate) == (12.5, 100, 1100)
    assert (all_32.token_rate, all_32.bitrate) == (400, 4400)
    assert audiotok.codec.registry.find_card("mimi") == eight
    assert eight.weights == all_32.weights
    assert audiotok.codec.registry.find_card("mimi:merge=2").bitrate == 1100 - 12.5 / 2 * 11


def test_mimi_8_is_the_first_codebooks_of_mimi_32(folder):
    waveform = tiny.sound(3, 24_000, seed=1)[0]
    eight = audiotok.load("mimi", checkpoint=folder, quiet=True)
    whole = audiotok.load("mimi-32", checkpoint=folder)
    tokens = eight.encode((waveform, 24_000))
    assert torch.equal(tokens.codes, whole.encode((waveform, 24_000)).codes[:, :8])
    assert eight.num_codebooks == 8 and whole.num_codebooks == 32
    with pytest.raises(CodecError, match="cannot stop after 9 codebooks"):
        audiotok.load("mimi-8:codebooks=9", checkpoint=folder)
    for decoder in (whole, audiotok.load("mimi-32:codebooks=8", checkpoint=folder)):
        assert torch.equal(decoder.decode(tokens).waveform, eight.decode(tokens).waveform)


def test_codebooks_are_sums_by_usage(folder):
    codec = audiotok.load("mimi-8", checkpoint=folder)
    for k, stack, index in ((0, "semantic", 0), (5, "acoustic", 4)):
        quantizer = getattr(codec.network.quantizer.quantizer, f"{stack}_residual_vector_quantizer")
        layer = quantizer.layers[index].codebook
        expected = layer.embed_sum / layer.cluster_usage[:, None]
        assert torch.equal(codec.codebook(k), expected)


def test_merging_the_semantic_codebook_changes_no_other(folder):
    waveform = tiny.sound(3, 24_000, seed=2)[0]
    plain = audiotok.load("mimi-8", checkpoint=folder).encode((waveform, 24_000)).codes
    merged = audiotok.load("mimi-8:merge=2", checkpoint=folder).encode((waveform, 24_000)).codes
    assert torch.equal(merged[:, 1:], plain[:, 1:])
    assert not torch.equal(merged[:, 0], plain[:, 0])
    assert torch.equal(merged[:, 0, :-1:2], merged[:, 0, 1::2])


@torch.no_grad()
def test_is_causal_to_the_sample(folder):
    """Latents end where their frame ends, and reach its last sample; so does the decoder."""
    codec = audiotok.load("mimi-8", checkpoint=folder)
    network = codec.network
    waveform = tiny.sound(2, 24_000, seed=3)[..., : 20 * HOP]
    latents = network.encoder(waveform).latents
    for frame in (0, 7, 12):
        end = (frame + 1) * HOP
        for sample, reached in ((end, frame + 1), (end - 1, frame)):
            changed = waveform.clone()
            changed[..., sample:] = 0
            difference = (network.encoder(changed).latents - latents).abs().amax((0, 1))
            first = int((difference > 1e-5 * latents.abs().max()).nonzero()[0])
            assert first == reached
    codes = codec._encode(waveform)
    sound = codec._decode(codes)
    changed = codes.clone()
    changed[..., 12] = (changed[..., 12] + 1) % 2048
    difference = (codec._decode(changed) - sound).abs()[0, 0]
    first = int((difference > 1e-5 * sound.abs().max()).nonzero()[0])
    assert 12 * HOP <= first < 13 * HOP
    assert codec.card.lookahead == 0 and codec.card.causal


@pytest.mark.parametrize("changes", [{}, {"sliding_window": 9, "use_conv_shortcut": True}])
@pytest.mark.parametrize("length", [1, HOP, 12 * HOP + 777])
def test_a_stream_equals_the_model(changes, length, tmp_path):
    """Of transformers, on the whole sound; also where attention has forgotten the beginning."""
    codec = audiotok.load("mimi-8", checkpoint=tiny.write(tiny.mimi, tmp_path, **changes))
    window = codec.network.encoder.encoder_transformer.layers[0].self_attn.sliding_window
    assert window == changes.get("sliding_window", 250)
    waveform = tiny.sound(1, 24_000, seed=6)[0, :, :length]
    with torch.no_grad():
        expected = codec.network.encode(waveform[None]).audio_codes
        sound = codec.network.decode(expected).audio_values[0, :, :length]
    for frames in (1, 2, 3, 7):
        codes, decoded = [], []
        with codec.stream() as stream:
            for start in range(0, length, frames * HOP):
                last = start + frames * HOP >= length
                codes.append(stream.encode(waveform[:, start : start + frames * HOP], last=last))
                decoded.append(
                    stream.decode(expected[..., start // HOP :][..., :frames], last=last)
                )
        assert torch.equal(torch.cat(codes, -1), expected)
        assert [each.shape[-1] for each in codes[:-1]] == [frames] * (len(codes) - 1)
        difference = (torch.cat(decoded, -1)[:, :length] - sound).abs().max()
        assert difference <= 1e-5 * sound.abs().max()


@pytest.mark.parametrize("window", [5, 250])
def test_a_batch_of_streams_equals_single_ones(window, tmp_path):
    """Also while their pasts differ in length."""
    folder = tiny.write(tiny.mimi, tmp_path, sliding_window=window)
    codec = audiotok.load("mimi-8", checkpoint=folder)
    assert assert_equals_single_streams(codec, batch=3, turns=16) > 5


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"sliding_window": 5}])
def test_attention_equals_that_of_transformers_to_the_bit(changes, tmp_path):
    from audiotok.codecs._mimi_pieces import Attending

    folder = tiny.write(tiny.mimi, tmp_path, **changes)
    model = audiotok.load("mimi-8", checkpoint=folder).network.encoder.encoder_transformer
    cache, attending = DynamicCache(config=model.config), Attending(model)
    generator = torch.Generator().manual_seed(0)
    for length in (1, 2, 1, 3, 2, 2, 1, 7, 1):
        hidden = torch.randn(2, model.config.hidden_size, length, generator=generator)
        expected = model(hidden.mT, past_key_values=cache, use_cache=True).last_hidden_state.mT
        assert torch.equal(attending(hidden, False), expected)


def test_long_sound_has_the_codes_of_the_whole(folder):
    codec = audiotok.load("mimi-8", checkpoint=folder)
    waveform = tiny.sound(25, 24_000, seed=4)[0]
    whole = codec.encode((waveform, 24_000))
    expected = codec.decode(whole).waveform
    codec.window_seconds, codec.context_seconds, codec.piece_seconds = 5.0, 0.0, 3.0
    changed = codec.encode((waveform, 24_000)).codes != whole.codes
    assert changed.any(1).sum() <= 2  # frames with a near tie
    difference = (codec.decode(whole).waveform - expected).abs().max()
    assert difference <= 1e-5 * expected.abs().max()
