"""Merging by similarity: which frames share codes, on codecs of every kind of quantizer."""

import math

import pytest
import torch
from support import tiny_lyra
from support.stranger_codec import Stranger
from typer.testing import CliRunner

import audiotok
from audiotok.cli.commands import app
from audiotok.codec.merged import SimilaritySearch
from audiotok.codec.variants import vary
from audiotok.data import bundled
from audiotok.errors import CodecError
from audiotok.sound.audio import Audio
from audiotok.testing import sounds
from audiotok.tokens import Tokens

CARD = Stranger.CARDS[0]


def load(options=""):
    return audiotok.load(f"rvq-small:codebooks=3{options and ','}{options}", quiet=True)


def speech(num_samples, rate=16_000):
    samples = sounds.voice(rate, 5.0)[:num_samples]
    return Audio(torch.from_numpy(samples[None]).float(), rate)


def latents_of(frames, seed):
    """A walk, (1, 64, T): frames are similar to their neighbours, some more than others."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(1, 64, frames, generator=generator)
    return steps * 0.3 + torch.randn(1, 64, frames // 4, generator=generator).repeat_interleave(
        4, 2
    )


def greedy(latents, threshold, most):
    """Durations of the segments of latents (D, T), frame by frame in fp64."""
    frames, lengths = latents.double().T, [1]
    for before, frame in zip(frames, frames[1:], strict=False):
        cosine = before @ frame / (before.norm() * frame.norm())
        if cosine > threshold and lengths[-1] < most:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_similar_frames_are_averaged_before_each_search(threshold, layers):
    codec = load(f"merge=similarity-{threshold},layers={layers},max_duration=3")
    latents = latents_of(40, 2)
    lengths = greedy(latents[0], threshold, 3)
    assert 1 < max(lengths) <= 3
    residual, expected = latents[0], []
    for k, codebook in enumerate(codec._codebooks()[:3]):
        rates = lengths if k < layers else [1] * latents.shape[-1]
        means = torch.stack([part.mean(1) for part in residual.split(rates, 1)])
        codes = torch.cdist(means.double(), codebook.double()).argmin(1)
        codes = codes.repeat_interleave(torch.tensor(rates))
        expected.append(codes)
        residual = residual - codebook[codes].T
    assert torch.equal(codec.quantize(latents)[0], torch.stack(expected))


def test_the_default_merges_all_codebooks_and_at_most_four_frames():
    codec = load("merge=similarity-0.8")
    tokens = codec.encode(speech(9_000))
    assert (tokens.max_duration, tokens.merged_codebooks) == (4, codec.num_codebooks)
    assert len({free.shape[1] for free in tokens.free_codes}) == 1
    assert tokens.free_codes[0].shape[1] == len(tokens.durations) < tokens.num_frames
    assert int(tokens.durations.max()) <= 4


def test_plain_tokens_where_nothing_is_similar():
    plain, equal = load(), load("merge=equal")
    for merged in (load("merge=similarity-1"), equal):
        tokens = merged.encode(speech(9_000))
        assert torch.equal(tokens.codes, plain.encode(speech(9_000)).codes)


def test_the_plain_codec_decodes_tokens_read_from_a_smaller_file(tmp_path):
    talk, name = str(bundled.FOLDER / "rms_1.flac"), "wavtokenizer-mini:merge=similarity-0.9"
    for one, file in ((name, "talk"), ("wavtokenizer-mini", "plain")):
        arguments = ["encode", talk, "-t", one, "-o", f"{tmp_path}/{file}.atok"]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    sizes = [(tmp_path / f"{file}.atok").stat().st_size for file in ("talk", "plain")]
    assert sizes[0] < sizes[1]
    tokens = Tokens.load(tmp_path / "talk.atok")
    sounds = [audiotok.load(n, quiet=True).decode(tokens) for n in (name, "wavtokenizer-mini")]
    assert torch.equal(sounds[0].waveform, sounds[1].waveform)


def test_a_stream_gives_the_codes_of_the_whole():
    codec = load("merge=similarity-0.8")
    search = codec._quantize
    latents = latents_of(100, 1)
    waiting, parts = latents[..., :0], []
    for piece in latents.split(7, -1):
        waiting = torch.cat([waiting, piece], -1)
        ready = search.complete(waiting)
        assert waiting.shape[-1] - ready < 4
        if ready:
            parts.append(search(waiting[..., :ready]))
        waiting = waiting[..., ready:]
    if waiting.shape[-1]:
        parts.append(search(waiting))
    assert torch.equal(torch.cat(parts, -1), search(latents))


def test_slower_codebooks_are_merged_in_whole_units():
    latents = torch.ones(1, 2, 11)
    latents[:, :, 4:8] = 2.0  # parallel: cosine 1
    found = []
    search = SimilaritySearch(lambda part: found.append(part) or part, 0.9, 4, unit=4)
    assert search.starts(latents[..., :8]).tolist() == [[True, False]]
    assert torch.equal(search(latents), latents)
    assert [part.shape[-1] for part in found] == [8, 3]  # the incomplete unit stands alone


def test_latents_that_are_not_finite_stand_alone():
    latents = torch.ones(1, 2, 5)
    latents[:, :, 2] = float("nan")
    search = SimilaritySearch(lambda part: part, 0.9, 4, unit=1)
    assert search.starts(latents).tolist() == [[True, False, True, True, False]]


@pytest.mark.parametrize("name", ["wavtokenizer-mini", "rvq-small", "lm-spt-mini"])
@pytest.mark.parametrize("layers", [1, None])
def test_bundled_codecs_merge_without_training(name, layers):
    option = "" if layers is None else f",layers={layers}"
    codec = audiotok.load(f"{name}:merge=similarity-0.7{option}", quiet=True)
    sound = speech(24_000, 16_000)
    tokens = Tokens.from_bytes(codec.encode(sound).to_bytes())
    assert len(tokens.durations) < tokens.num_frames
    assert codec.decode(tokens).num_samples == math.ceil(1.5 * codec.sample_rate)
    plain = audiotok.load(name, quiet=True)
    assert tokens.num_bits < plain.encode(sound).num_bits


def test_lyra_merges_without_training(tmp_path):
    folder = tiny_lyra.write(tmp_path)
    torch.manual_seed(0)
    name = "lyra-v2:codebooks=4,merge=similarity-0.5,layers=2"
    codec = audiotok.load(name, checkpoint=folder, quiet=True)
    sound = speech(16_000, 16_000)
    tokens = codec.encode(sound)
    assert tokens.merged_codebooks == 2 and len(tokens.durations) < tokens.num_frames
    with codec.stream() as stream:
        pieces = [stream.encode(part) for part in sound.waveform.split(3_200, 1)]
        pieces.append(stream.encode(last=True))
    assert torch.equal(torch.cat(pieces, -1), tokens.codes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("merge=similarity-2", "list of whole numbers from 1"),
        ("merge=similarity-", "list of whole numbers from 1"),
        ("merge=similarity-nan", "list of whole numbers from 1"),
        ("layers=1", "layers=1 is for merge=similarity"),
        ("merge=2,layers=1", "layers=1 is for merge=similarity"),
        ("merge=similarity-0.9,layers=9", "layers=9 of .* is not in 1..3"),
        ("merge=equal,max_duration=33", "max_duration=33 of .* is not in 2..32"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(CodecError, match=message):
        vary(CARD, options, Stranger.OPTIONS)


def test_the_threshold_is_written_in_its_shortest_form():
    names = {vary(CARD, f"merge=similarity-{t}", {}).name for t in ("0.9", "0.90", ".9")}
    assert names == {f"{CARD.name}:merge=similarity-0.9"}


def test_a_codec_without_latents_says_so():
    with pytest.raises(CodecError, match="stranger-8k cannot merge by similarity: its class enc"):
        Stranger(vary(CARD, "merge=similarity-0.9", Stranger.OPTIONS))
    assert Stranger(vary(CARD, "merge=equal", Stranger.OPTIONS)).card.max_duration == 4
