"""VALL-E R: what must hold for any weights. Models here are tiny and untrained."""

import pytest
import torch
from support import plain_valle, tts_kit

import audiotok
from audiotok.errors import CheckpointError, CodecError, SpeechError
from audiotok.tts import units
from audiotok.tts.base import Codes, Generation, Request
from audiotok.tts.valle import ValleR
from audiotok.tts.valle_nar import NARConfig

SHORT = Generation(most_units=5, top_p=1.0)


def last(model, requests, options=SHORT):
    spoken = {}
    for step in model.speak(requests, options):
        spoken |= step
    return [spoken[number] for number in range(len(requests))]


def test_a_thousand_paths_are_monotone_complete_and_end():
    options = Generation(most_units=3)
    for seed in range(4):
        model = tts_kit.ar(seed, spread=8.0, layers=1)
        requests = [tts_kit.request(1 + n % 4, 4, seed=1000 * seed + n) for n in range(250)]
        for request, one in zip(requests, last(model, requests, options), strict=True):
            assert len(one.pointer.durations) == len(request.phones)
            assert min(one.pointer.durations) >= 1 and max(one.pointer.durations) <= 3
            assert sum(one.pointer.durations) == len(one.tokens)


@pytest.mark.parametrize("align", [True, False])
def test_steps_with_a_cache_have_the_logits_and_likelihood_of_all_at_once(align, monkeypatch):
    model = tts_kit.ar(spread=8.0, align=align)
    request = tts_kit.request(6, seed=3, told=True)
    kept, scores = [], model._scores
    monkeypatch.setattr(model, "_scores", lambda h: kept.append(scores(h)) or kept[-1])
    (one,) = last(model, [request], Generation(top_p=1.0, most_units=4))
    monkeypatch.undo()
    durations = torch.tensor(one.pointer.durations) if align else None
    given = tts_kit.request(6, seed=3, told=True, durations=durations)
    tokens = torch.tensor(one.tokens)
    with torch.no_grad():
        whole = model.forced([given], [tokens])
    stepped = torch.cat([step.tokens[0] for step in kept])[: len(tokens)].clone()
    if not align:
        stepped[0, model.size] = whole.tokens[0, 0, model.size]  # the end is barred at first
    torch.testing.assert_close(stepped, whole.tokens[0, : len(tokens)], rtol=1e-4, atol=1e-4)
    if align:
        stepped = torch.cat([step.phones[0] for step in kept])
        torch.testing.assert_close(stepped, whole.phones[0], rtol=1e-4, atol=1e-4)
    forced, decisions = model.likelihood(given, tokens)
    count = len(tokens)
    first = 0 if align else 1
    torch.testing.assert_close(
        torch.tensor(one.token_log_probs)[first:count], forced[first:count], rtol=1e-4, atol=1e-4
    )
    if align:
        torch.testing.assert_close(
            torch.tensor(one.pointer_log_probs), decisions, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("align", [True, False])
def test_a_batch_is_its_items(align):
    model = tts_kit.whole(align=align)
    requests = [tts_kit.request(2 + n, 4 + 2 * n, n, told=n % 2 == 1) for n in range(4)]
    for together, request in zip(model.generate(requests, SHORT), requests, strict=True):
        (alone,) = model.generate([request], SHORT)
        assert torch.equal(together.codes, alone.codes)
        torch.testing.assert_close(
            together.log_probs["token"], alone.log_probs["token"], rtol=1e-4, atol=1e-4
        )


def plain(tensor):
    return [list(map(int, row)) for row in tensor]


@pytest.mark.parametrize("told", [True, False])
def test_the_autoregressive_forward_is_that_of_a_plain_implementation(told):
    model = tts_kit.ar(spread=6.0)
    durations = torch.tensor([2, 1, 3])
    request = tts_kit.request(3, seed=5, told=told, durations=durations)
    tokens = torch.tensor([3, 15, 0, 7, 7, 1])
    with torch.no_grad():
        found = model.forced([request], [tokens])
    state = {name: x.double() for name, x in model.state_dict().items()}
    prompt = request.prompt
    first = 4 * prompt.codes[0, ::2] + prompt.codes[1, ::2]
    said = [*zip(prompt.phones.tolist(), prompt.durations.tolist(), strict=True)] if told else None
    text = [*zip(request.phones.tolist(), durations.tolist(), strict=True)]
    wanted = plain_valle.ar(state, text, said, first.tolist(), tokens.tolist())
    for ours, theirs in zip((found.tokens[0], found.phones[0]), wanted, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-3)


def test_the_other_forward_is_that_of_a_plain_implementation():
    model = tts_kit.nar(spread=6.0)
    durations = torch.tensor([2, 1])
    request = tts_kit.request(2, frames=4, seed=6, durations=durations)
    tokens = model.grouping.join(tts_kit.sound(6, 9))
    with torch.no_grad():
        (found,) = model.forced([request], [tokens], 2)
    state = {name: x.double() for name, x in model.state_dict().items()}
    text = [*zip(request.phones.tolist(), durations.tolist(), strict=True)]
    prompt = plain(model.grouping.join(request.prompt.codes))
    wanted = plain_valle.nar(state, text, prompt, plain(tokens), 2, 2)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-3)


def test_given_durations_are_kept_and_steps_are_half_of_the_frames():
    model = tts_kit.whole()
    durations = torch.tensor([3, 1, 40, 2])  # more than most_units: given ones are not cut
    (made,) = model.generate([tts_kit.request(4, durations=durations)], SHORT)
    assert made.durations.tolist() == [3, 1, 40, 2]
    assert made.steps == 46 and made.codes.shape == (6, 92)
    assert torch.equal(made.codes[:2, ::2], made.codes[:2, 1::2])  # the first token is merged
    unmerged = tts_kit.whole(merge=1)
    (made,) = unmerged.generate([tts_kit.request(4, durations=2 * durations, merge=1)], SHORT)
    assert made.steps == made.codes.shape[1] == 92


def test_durations_that_do_not_fit_are_refused():
    model = tts_kit.whole()
    for durations in ([1, 2], [1, 0, 2]):
        request = tts_kit.request(3, durations=torch.tensor(durations))
        with pytest.raises(SpeechError, match="expected one unit or more for each"):
            model.generate([request])
    with pytest.raises(SpeechError, match="no alignment"):
        tts_kit.whole(align=False).generate([tts_kit.request(1, durations=torch.tensor([1]))])


def test_speech_in_pieces_has_the_first_codebooks_of_the_whole():
    model = tts_kit.whole()
    for told in (False, True):
        request = tts_kit.request(40, seed=7, told=told)
        (whole,) = model.generate([request], SHORT)
        pieces = list(model.stream(request, SHORT))
        joined = torch.cat(pieces, 1)
        assert len(pieces) > 1 and pieces[0].shape == (6, 50)
        assert torch.equal(joined[:2], whole.codes[:2]) and joined.shape == whole.codes.shape


def test_the_head_of_a_codebook_has_the_weights_of_its_embedding():
    model = tts_kit.nar()
    request, tokens = tts_kit.request(2), model.grouping.join(tts_kit.sound(4, 1))
    seen = set(model.grouping.join(request.prompt.codes)[1].tolist())
    unseen = next(token for token in range(16) if token not in seen)
    with torch.no_grad():
        before = model.forced([request], [tokens], 1)[0]
        model.tokens[1].weight[unseen] += 10
        after = model.forced([request], [tokens], 1)[0]
    others = [token for token in range(16) if token != unseen]
    torch.testing.assert_close(before[:, others], after[:, others])
    assert not torch.allclose(before[:, unseen], after[:, unseen])


def test_losses_are_the_likelihood_of_the_targets():
    model = tts_kit.ar(prompt_text_dropout=0.0)
    example = tts_kit.example()
    found = model.loss([example])
    durations = example.target.durations(2)
    request = tts_kit.Request(example.target.phones, example.prompt, durations)
    tokens, _ = model.likelihood(request, model.first_tokens(example.target.codes))
    assert float(found["token"]) == pytest.approx(-float(tokens.mean()), rel=1e-4)
    assert float(found["loss"]) == pytest.approx(float(found["token"] + found["phone"]), rel=1e-5)
    assert "phone" not in tts_kit.ar(align=False).loss([example])


def test_codecs_that_merge_elsewhere_and_models_that_do_not_fit_are_refused():
    with pytest.raises(CodecError, match="expected all 2 codebooks of the first token merged"):
        units.merge_of(Codes("toy", "f", (4,) * 4, (2, 1, 1, 1), 50.0), 2)
    other = tts_kit.NARConfig(group=1, **tts_kit.SMALL).build(tts_kit.codes(1))
    with pytest.raises(CheckpointError, match="do not fit"):
        ValleR(tts_kit.ar(), other)


def test_noise_replaces_its_share_of_the_tokens():
    tokens = torch.zeros(2, 20_000, dtype=torch.long)
    noised = units.noised(tokens, (1024, 4), 0.2, torch.Generator().manual_seed(0))
    changed = (noised != tokens).float().mean(1).tolist()
    assert changed == pytest.approx([0.2 * 1023 / 1024, 0.2 * 3 / 4], abs=0.01)
    assert noised[0].max() > 900 and noised[1].max() == 3
    assert units.noised(tokens, (1024, 4), 0, None) is tokens


@pytest.mark.parametrize("make", [tts_kit.ar, tts_kit.nar])
def test_noise_is_in_the_input_in_training_only(make):
    noisy, plain = make(spread=6.0, token_noise=0.5), make(spread=6.0)

    def loss(model):
        with torch.no_grad():
            return float(model.loss([tts_kit.example()], torch.Generator().manual_seed(0))["loss"])

    assert loss(noisy) == loss(plain) == loss(plain.train())
    assert loss(noisy.train()) != pytest.approx(loss(plain), rel=1e-3)


def test_embeddings_start_as_one_projection_of_the_codewords():
    codec = audiotok.load("rvq-small:codebooks=2,merge=2", quiet=True)
    codes = Codes(codec.card.name, codec.fingerprint, (1024, 1024), (2, 1), 50.0)
    model = NARConfig(dimension=128, layers=1, codewords=True).build(codes)
    model.fit()
    words = torch.cat([codec.codewords(0), codec.codewords(1)])
    tables = torch.cat([table.weight.detach() for table in model.tokens])
    projection = torch.linalg.lstsq(words, tables).solution
    torch.testing.assert_close(words @ projection, tables, rtol=1e-3, atol=1e-5)
    assert float(model.tokens[0].weight.std()) == pytest.approx(0.02, rel=1e-3)


def test_without_temperature_phones_have_median_durations_whatever_the_seed():
    model = tts_kit.ar(spread=8.0)
    greedy = Generation(temperature=0.0, most_units=5)
    requests = [tts_kit.request(6, seed=1), tts_kit.request(6, seed=1)]
    requests[1] = Request(requests[0].phones, requests[0].prompt, None, seed=9)
    first, second = last(model, requests, greedy)
    assert first.tokens == second.tokens
    assert first.pointer.durations == second.pointer.durations
