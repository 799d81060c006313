"""The base class: everything that no family should have to write."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support import tiny_codec

import audiotok
from audiotok.codec import CodecCard
from audiotok.codec.variants import vary
from audiotok.errors import AudioError, CodecError, TokensError
from audiotok.sound.audio import Audio, resampled_length
from audiotok.testing import check_codec
from audiotok.tokens import Tokens

CARD = tiny_codec.Tiny.CARDS[0]


@pytest.fixture(scope="module")
def codec():
    return tiny_codec.Tiny(CARD)


def noise(num_samples, sample_rate=16_000, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Audio(0.3 * torch.randn(channels, num_samples, generator=generator), sample_rate)


@pytest.mark.usefixtures("forked_processes")
def test_conforms(codec):
    check_codec(codec)


def test_properties(codec):
    assert (codec.sample_rate, codec.hop_length, codec.frame_rate) == (24_000, 160, 100)
    assert (codec.num_codebooks, codec.codebook_sizes) == (2, (6, 10))
    assert CARD.token_rate == 150
    assert CARD.bitrate == pytest.approx(50 * math.log2(6) + 100 * math.log2(10))
    assert codec.codebook(1).shape == (10, 4)
    assert [codec.num_frames(n) for n in (1, 160, 161)] == [1, 1, 2]
    for k in (-1, 2):
        with pytest.raises(CodecError, match="has codebooks 0..1"):
            codec.codebook(k)


def test_a_bitrate_is_the_card_s(codec):
    tokens = codec.encode(noise(32_000))
    assert tokens.bitrate == pytest.approx(CARD.bitrate)
    assert tokens.strides == CARD.strides and tokens.codec == "tiny-a"


@given(
    st.integers(1, 20_000),
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 44_099, 48_000])
    | st.integers(8_000, 48_000),
)
@settings(deadline=None, max_examples=100)
def test_exact_length(num_samples, sample_rate):
    codec = tiny_codec.Tiny(CARD)
    audio = noise(num_samples, sample_rate)
    tokens = codec.encode(audio)
    assert tokens.num_samples == num_samples
    assert codec.decode(tokens, sample_rate).num_samples == num_samples
    at_24k = resampled_length(num_samples, sample_rate, 24_000)
    assert codec.decode(tokens).num_samples == at_24k
    assert codec.reconstruct(audio).num_samples == num_samples


def test_sources(codec, tmp_path):
    audio = noise(5_000, channels=2)
    path = tmp_path / "a.wav"
    soundfile.write(path, audio.waveform.T, 16_000, subtype="FLOAT")
    expected = codec.encode(audio).codes
    mono = audio.waveform.mean(0)
    for source in (path, str(path), (audio.waveform, 16_000), (mono.numpy(), 16_000)):
        assert torch.equal(codec.encode(source).codes, expected)


def test_windows_change_nothing_that_the_context_covers(codec):
    audio = noise(16_000 * 7 + 123)
    whole = codec.encode(audio)
    parts = tiny_codec.Tiny(CARD)
    parts.window_seconds, parts.context_seconds = 1.0, 0.02
    result = parts.encode(audio)
    assert torch.equal(result.codes, whole.codes)
    expected = codec.decode(whole).waveform
    torch.testing.assert_close(parts.decode(whole).waveform, expected, rtol=0, atol=1e-6)


def test_windows_have_whole_strides(codec):
    windows = tiny_codec.Tiny(CARD)
    windows.window_seconds, windows.context_seconds = 0.031, 0.013
    seen = list(windows._windows(17))
    assert [(start, stop) for _, start, stop, _ in seen] == [
        (0, 4), (4, 8), (8, 12), (12, 16), (16, 17),
    ]  # fmt: skip
    assert all(low % 2 == 0 and high <= 17 for low, _, _, high in seen)


def test_batches(codec):
    audios = [noise(n, seed=n) for n in (500, 3_000, 500, 3_000, 801)]
    single = [codec.encode(audio) for audio in audios]
    calls = []
    counting = tiny_codec.Tiny(CARD)
    counting._encode = lambda waveform: calls.append(len(waveform)) or codec._encode(waveform)
    counting._decode = lambda codes: calls.append(len(codes)) or codec._decode(codes)
    for batch, sizes in (("strict", [1] * 5), ("length", [2, 2, 1])):
        calls.clear()
        result = counting.encode_batch(audios, batch)
        assert calls == sizes
        for one, other in zip(result, single, strict=True):
            assert torch.equal(one.codes, other.codes)
        calls.clear()
        sounds = counting.decode_batch(result, batch)
        assert calls == sizes
        for sound, tokens in zip(sounds, single, strict=True):
            expected = codec.decode(tokens).waveform
            torch.testing.assert_close(sound.waveform, expected, rtol=0, atol=1e-6)
    assert codec.encode_batch([]) == codec.decode_batch([], "length") == []
    for method in (codec.encode_batch, codec.decode_batch):
        with pytest.raises(CodecError, match="strict, length, ragged, not 'padded'"):
            method([], "padded")


def test_results_can_be_trained_on(codec):
    tokens = codec.encode(noise(1_000))
    embedding = torch.nn.Embedding(10, 3)
    embedding(tokens.codes).sum().backward()
    scale = torch.ones((), requires_grad=True)
    (codec.decode(tokens).waveform * scale).square().sum().backward()


def test_the_mode_of_parts_is_kept(codec):
    codec.network.train()
    codec.network.dropout.eval()
    codec.encode(noise(1_000))
    assert codec.network.training and not codec.network.dropout.training
    codec.network.eval()


@pytest.mark.parametrize("precision", ["medium", "high", "highest"])
def test_the_caller_s_precision_changes_nothing_and_is_kept(codec, precision):
    expected = codec.decode(codec.encode(noise(5_000))).waveform
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = codec.decode(codec.encode(noise(5_000))).waveform
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(result, expected)


# --- what is refused -----------------------------------------------------------------------------


def test_latents_that_are_not_finite(codec):
    broken = tiny_codec.Tiny(CARD)
    with torch.no_grad():
        broken.network.encoder.weight[0, 0, 200] = math.nan
    with pytest.raises(TokensError, match="code -1 in codebook 0 at frame 0 .* not finite"):
        broken.encode(noise(1_000))


def test_sound_that_is_not_finite(codec):
    broken = tiny_codec.Tiny(CARD)
    with torch.no_grad():
        broken.network.decoder.bias[3] = math.inf
    tokens = codec.encode(noise(1_000))
    with pytest.raises(CodecError, match="tiny-a decoded no usable sound: .* not finite"):
        broken.decode(tokens)


def test_tokens_of_another_codec(codec, tmp_path):
    other = tiny_codec.Tiny(CARD)
    with torch.no_grad():
        other.network.codebooks[0][0, 0] += 1e-6
    tokens = codec.encode(noise(1_000))
    with pytest.raises(
        CodecError, match="tokens of tiny-a .* cannot be decoded by tiny-a"
    ) as caught:
        other.decode(tokens)
    assert codec.fingerprint[:12] in str(caught.value)
    assert other.fingerprint[:12] in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_samples": 10**12}, "7 frames do not fit 1000000000000 samples at 16000 Hz"),
        ({"num_samples": 900}, "7 frames do not fit 900 samples"),
        ({"sample_rate": 48_000}, "7 frames do not fit 1000 samples at 48000 Hz"),
        ({"codebook_sizes": (7, 10)}, r"codebooks of \(6, 10\)"),
    ],
)
def test_tokens_that_do_not_fit(codec, changes, message):
    tokens = codec.encode(noise(1_000))
    fields = {name: getattr(tokens, name) for name in Tokens.__dataclass_fields__}
    with pytest.raises(CodecError, match=message):
        codec.decode(Tokens(**(fields | changes)))


def test_channels_one_by_one():
    """channels=each codes them apart; any codec for one channel decodes that."""
    each, mixed = (tiny_codec.Tiny(vary(CARD, text, {})) for text in ("channels=each", ""))
    stereo = noise(1_000, channels=2)
    tokens = each.encode(stereo)
    assert tokens.codes.shape == (2, 2, 7) and tokens.codec == "tiny-a:channels=each"
    for channel in range(2):
        alone = mixed.encode(Audio(stereo.waveform[[channel]], stereo.sample_rate))
        assert torch.equal(tokens.codes[channel], alone.codes[0])
    sound = mixed.decode(Tokens.from_bytes(tokens.to_bytes()))
    assert sound.waveform.shape == (2, 1_500)
    assert torch.equal(sound.waveform, each.decode(tokens).waveform)
    assert mixed.encode(stereo).codes.shape == (1, 2, 7)
    assert each.encode(noise(1_000)).codes.shape == (1, 2, 7)
    assert tokens.bitrate == 2 * mixed.encode(stereo).bitrate
    both = [noise(1_000, channels=2), noise(1_000)]
    shapes = [tuple(t.codes.shape) for t in each.encode_batch(both, batch="length")]
    assert shapes == [(2, 2, 7), (1, 2, 7)]


def test_the_first_codebooks_of_tokens_decode():
    """Where the card says that they do."""
    few = tiny_codec.Tiny(vary(CARD.model_copy(update={"codebook_counts": (1, 2)}), "", {}))
    tokens = few.encode(noise(1_000))
    assert few.decode(tokens.first(1)).num_samples == 1_500
    with pytest.raises(CodecError, match=r"decodes codebooks of \(6, 10\)"):
        tiny_codec.Tiny(CARD).decode(tokens.first(1))


def test_fast_precision(caplog):
    fast = tiny_codec.Tiny(vary(CARD, "precision=fast", {}))
    exact = tiny_codec.Tiny(CARD)
    sound = noise(20 * 16_000)
    with caplog.at_level("INFO", "audiotok"):
        tokens = [fast.encode(sound) for _ in range(2)]
    share = fast.changed_codes(sound)
    assert 0 < share < 0.2
    assert caplog.messages == [
        f"tiny-a:precision=fast: bfloat16 changed {share:.2%} of these codes"
    ]
    changed = (tokens[0].codes != exact.encode(sound).codes).double().mean()
    assert share == float(changed)
    assert exact.decode(tokens[0]).num_samples == 20 * 24_000


def test_other_things_than_tokens(codec):
    with pytest.raises(CodecError, match="decode takes Tokens, not Tensor"):
        codec.decode(codec.encode(noise(1_000)).codes)


@pytest.mark.parametrize(
    ("method", "wrong", "message"),
    [
        ("_encode", lambda x: torch.zeros(1, 2, 3, dtype=torch.int64), r"expected .*\(1, 2, 7\)"),
        ("_encode", lambda x: torch.zeros(1, 2, 7), "gave torch.float32 codes"),
        ("_decode", lambda x: torch.zeros(1, 1, 100), r"decoded \(1, 1, 100\)"),
        ("_decode", lambda x: torch.zeros(1, 2, 9_999), r"decoded \(1, 2, 1500\)"),
    ],
)
def test_families_that_are_wrong(codec, method, wrong, message):
    bad = tiny_codec.Tiny(CARD)
    setattr(bad, method, wrong)
    with pytest.raises(CodecError, match=message):
        bad.decode(bad.encode(noise(1_000)))


# --- fingerprints, cards, options ----------------------------------------------------------------


def test_fingerprint_is_the_same_in_another_process(codec):
    program = "from support.tiny_codec import Tiny; print(Tiny(Tiny.CARDS[0]).fingerprint)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert run.stdout.strip() == codec.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"strides": (1,)},
        {"hop_length": 0},
        {"hop_length": 161, "sample_rate_out": 24_001},
        {"sample_rate_in": 10},
        {"channels": 3},
        {"bitrate": 3},
        {"kind": "magic"},
        {"weights": {"repository": "a/b"}},
        {"weights": {"repository": "a/b", "file": "c", "sha256": "xyz"}},
    ],
)
def test_cards_that_do_not_fit(changes):
    with pytest.raises(ValidationError):
        CodecCard(**(CARD.model_dump() | changes))


def test_cards_are_frozen():
    with pytest.raises(ValidationError):
        CARD.name = "other"


def test_long_sound_in_bounded_memory():
    """The longest piece that the network sees does not grow with the sound."""
    codec = tiny_codec.Tiny(CARD)
    longest = []
    encode = codec._encode
    codec._encode = lambda waveform: longest.append(waveform.shape[-1]) or encode(waveform)
    codec.encode((np.zeros(16_000 * 60 * 10, np.float32), 16_000))
    assert max(longest) == 70 * 16_000


def test_ragged_batches_equal_single_clips():
    codec = audiotok.load("wavtokenizer-mini")
    generator = torch.Generator().manual_seed(1)
    lengths = [900, 3_200, 4_001, 9_999, 12_345, 3_201]  # the first is too short for a batch
    clips = [(torch.randn(length, generator=generator) * 0.05, 16_000) for length in lengths]
    clips += [(torch.randn(8_000, generator=generator) * 0.05, 24_000)]
    together = codec.encode_batch(clips, batch="ragged")
    changed = 0
    for clip, tokens in zip(clips, together, strict=True):
        alone = codec.encode(clip)
        assert (alone.num_samples, alone.sample_rate) == (tokens.num_samples, tokens.sample_rate)
        assert alone.codes.shape == tokens.codes.shape
        changed += int((alone.codes != tokens.codes).sum())
    assert changed <= 1  # of 171: last bits
    merged = audiotok.load("wavtokenizer-mini:merge=2")
    assert not merged.ragged
    with pytest.raises(CodecError, match="knows no batch 'ragged'"):
        merged.encode_batch(clips, batch="ragged")


def test_ragged_batches_keep_channels_apart():
    codec = audiotok.load("wavtokenizer-mini:channels=each")
    generator = torch.Generator().manual_seed(2)
    clips = [
        (torch.randn(2, length, generator=generator) * 0.05, 16_000) for length in (5000, 7001)
    ]
    for clip, tokens in zip(clips, codec.encode_batch(clips, batch="ragged"), strict=True):
        assert torch.equal(codec.encode(clip).codes, tokens.codes)


@pytest.mark.parametrize("name", ["rvq-small", "mulaw", "rvq-small:channels=each"])
def test_a_long_file_is_read_window_by_window(monkeypatch, tmp_path, name):
    """With the codes of the whole, and never held as a whole."""
    from audiotok.codec import codec as module
    from audiotok.sound.audio import AudioFile

    codec = audiotok.load(name, quiet=True)
    codec.window_seconds = codec.piece_seconds = 1.0
    codec.context_seconds = 0.5
    path = tmp_path / "long.wav"
    rng = np.random.default_rng(0)
    soundfile.write(path, 0.1 * rng.standard_normal((5 * 22_050 + 7, 2)), 22_050)
    whole = codec._encode_equal_lengths([module.prepare(AudioFile(path), codec.card)])[0]
    with monkeypatch.context() as patch:
        patch.setattr(module, "prepare", lambda *_: pytest.fail("it was read as a whole"))
        result = codec.encode(path)
    assert torch.equal(result.codes, whole.codes)
    assert (result.num_samples, result.sample_rate) == (whole.num_samples, whole.sample_rate)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AudioError, match="cut short"):
        codec.encode(path)
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    soundfile.write(path, np.zeros(5 * 22_050), 22_050)
    with pytest.raises(AudioError, match="more than fit into memory"):
        codec.encode(path)


def test_windows_of_a_codec_that_looks_at_all_of_a_sound_are_said(caplog):
    for lookahead, message in ((None, 1), (0, 0)):
        caplog.clear()
        codec = tiny_codec.Tiny(CARD.model_copy(update={"lookahead": lookahead}))
        codec.window_seconds, codec.context_seconds = 0.5, 0.1
        codec.encode(noise(32_000))
        assert len(caplog.messages) == message
    codec = tiny_codec.Tiny(CARD)
    codec.encode(noise(32_000))
    assert not caplog.messages
