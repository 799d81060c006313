"""SpeechTokenizer against the same network of other blocks, its files, and what it refuses."""

import pytest
import torch
from support import tiny_encodec as tiny
from support import tiny_speechtokenizer as speechtokenizer
from support.promises import OF_THE_CARD

import audiotok
from audiotok import Tokens
from audiotok.codec.registry import find_card
from audiotok.errors import CheckpointError, CodecError
from audiotok.testing import PROMISES, check_codec

NAMES = {"speechtokenizer-hubert-avg": False, "speechtokenizer-snake": True}
AVERAGE = "speechtokenizer-hubert-avg"


@pytest.fixture(scope="module")
def models():
    return {name: speechtokenizer.official(snake) for name, snake in NAMES.items()}


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("speechtokenizer")
    for name, model in models.items():
        torch.save(model.state_dict(), folder / f"{name}.pt")
    return {name: folder / f"{name}.pt" for name in NAMES}


@pytest.mark.parametrize("length", [1, 2, 319, 320, 321, 16001, 5 * 16000])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_official_network(models, files, name, length):
    codec = audiotok.load(name, checkpoint=files[name])
    sound = tiny.audio(16000, 1, length)
    with torch.no_grad():
        codes = models[name].encode(sound.waveform[None])
        expected = models[name].decode(codes)[0, :, :length]
        latents = models[name].encoder(sound.waveform[None])
        ours = codec.network.encoder(sound.waveform[None])
    torch.testing.assert_close(ours, latents, rtol=1e-4, atol=1e-4)
    tokens = codec.encode(sound)
    if length > 16001:
        assert min(codebook.unique().numel() for codebook in codes[0]) >= 100
        quantizer = codec.network.quantizer
        assert tiny.disagreements(quantizer, ours, latents, tokens.codes, codes) == 0
    else:
        assert torch.equal(tokens.codes, codes)
    official = Tokens(codes, tokens.codec, tokens.fingerprint, length, 16000, tokens.codebook_sizes)
    decoded = codec.decode(Tokens.from_bytes(official.to_bytes())).waveform
    assert (decoded - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.usefixtures("forked_processes")
@pytest.mark.parametrize("name", NAMES)
def test_keeps_every_promise(files, name):
    promises = PROMISES if name == AVERAGE else OF_THE_CARD
    check_codec(audiotok.load(name, checkpoint=files[name]), promises)


def test_fewer_codebooks_are_the_first_ones(files):
    whole = audiotok.load(AVERAGE, checkpoint=files[AVERAGE])
    sound = tiny.audio(16000, 1, 16000)
    tokens = whole.encode(sound)
    assert (tokens.bitrate, tokens.codes.shape) == (4000, (1, 8, 50))
    for count in (1, 3):
        fewer = audiotok.load(f"{AVERAGE}:codebooks={count}", checkpoint=files[AVERAGE])
        assert fewer.card.bitrate == 500 * count
        result = fewer.encode(sound)
        assert torch.equal(result.codes, tokens.codes[:, :count])
        assert torch.equal(
            fewer.decode(result).waveform, whole.decode(tokens.first(count)).waveform
        )
    with pytest.raises(CodecError, match="cannot stop after 9 codebooks; allowed: 1, 2, 3, 4"):
        audiotok.load(f"{AVERAGE}:codebooks=9", checkpoint=files[AVERAGE])


def test_merging_pools_before_the_search(files):
    sound = tiny.audio(16000, 1, 7 * 320)
    whole = audiotok.load(AVERAGE, checkpoint=files[AVERAGE])
    tokens = audiotok.load(f"{AVERAGE}:merge=2", checkpoint=files[AVERAGE]).encode(sound)
    assert tokens.num_bits == 10 * (4 + 7 * 7)
    with torch.no_grad():
        latents = whole.network.encoder(sound.waveform[None])
        means = torch.nn.functional.avg_pool1d(latents, 2, ceil_mode=True)
        repeated = means.repeat_interleave(2, -1)[..., :7]
        expected = whole.network.quantizer.encode(repeated, 1)
    assert torch.equal(tokens.codes[:, :1], expected)
    same = audiotok.load(f"{AVERAGE}:merge=1", checkpoint=files[AVERAGE]).encode(sound)
    assert torch.equal(same.codes, whole.encode(sound).codes)


def test_fast_precision_codes_and_decodes(files):
    codec = audiotok.load(f"{AVERAGE}:precision=fast", checkpoint=files[AVERAGE])
    tokens = codec.encode(tiny.audio(16000, 1, 8000))
    assert int(tokens.codes.min()) >= 0
    assert codec.decode(tokens).num_samples == 8000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("encoder.model.13.lstm.bias_hh_l1_reverse"), "missing: encoder.layers.13"),
        (lambda s: s.update({"surplus": torch.ones(1)}), "unknown key 'surplus'"),
        (lambda s: s.update({"decoder.model.2.alpha": torch.ones(1)}), "snake is True"),
        (lambda s: s.pop("quantizer.vq.layers.7._codebook.embed"), "num_codebooks is 7"),
        (
            lambda s: [s.pop(key) for key in list(s) if "_reverse" in key],
            "bidirectional is False, expected True",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(models, tmp_path, change, message):
    state = dict(models[AVERAGE].state_dict())
    change(state)
    torch.save(state, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=message):
        audiotok.load(AVERAGE, checkpoint=tmp_path / "odd.pt")


def test_the_other_activations_are_refused(files):
    with pytest.raises(CheckpointError, match="not speechtokenizer-hubert-avg: its snake is True"):
        audiotok.load(AVERAGE, checkpoint=files["speechtokenizer-snake"])
    with pytest.raises(CheckpointError, match="not speechtokenizer-snake: its snake is False"):
        audiotok.load("speechtokenizer-snake", checkpoint=files[AVERAGE])


def test_long_sound_is_decoded_as_the_whole(files):
    """Codes come from windows, for the encoder reads backwards as well; the decoder does not."""
    name = next(iter(files))
    codec, parts = (audiotok.load(name, checkpoint=files[name]) for _ in range(2))
    sound = tiny.audio(16000, 1, 6 * 16000 + 5)
    parts.window_seconds, parts.context_seconds, parts.piece_seconds = 1.0, 0.5, 0.7
    tokens = codec.encode(sound)
    expected = codec.decode(tokens).waveform
    error = (parts.decode(tokens).waveform - expected).abs().max()
    assert error <= 1e-5 * expected.abs().max()
    assert parts.encode(sound).codes.shape == tokens.codes.shape


def test_the_bare_name_is_hubert_avg():
    card = find_card("speechtokenizer")
    assert (card.name, card.frame_rate, card.bitrate) == (AVERAGE, 50, 4000)
