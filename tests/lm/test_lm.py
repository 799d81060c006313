"""Likelihoods sum to one, no model sees the future, a cache changes nothing, patterns are exact."""

import itertools
import math

import pytest
import torch

from audiotok.lm import RQLM, PatternLM, PatternLMConfig, RQLMConfig, Sampling
from audiotok.lm.arrangement import PATTERNS, arrange
from audiotok.lm.transformer import Cache, Transformer

SMALL = {"dimension": 16, "heads": 2, "layers": 2}
DEEP = SMALL | {"depth_dimension": 8, "depth_heads": 2, "depth_layers": 1}


def make(kind: str, sizes=(5, 7, 3), strides=()):
    torch.manual_seed(0)
    if kind == "rq":
        model = RQLM(RQLMConfig(codebook_sizes=sizes, strides=strides, **DEEP))
    else:
        model = PatternLM(
            PatternLMConfig(codebook_sizes=sizes, strides=strides, pattern=kind, **SMALL)
        )
    for weight in model.parameters():  # far from uniform
        torch.nn.init.normal_(weight, std=0.4)
    return model.eval()


KINDS = [*PATTERNS, "rq"]


def draw(sizes, frames, batch=2, strides=None):
    codes = torch.stack([torch.randint(v, (batch, frames)) for v in sizes], 1)
    for k, stride in enumerate(strides or ()):
        codes[:, k] = codes[:, k, ::stride].repeat_interleave(stride, 1)[:, :frames]
    return codes


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("strides", [(1, 1, 1), (4, 2, 1), (1,), (3,), (4, 2)])
@pytest.mark.parametrize("frames", [1, 4, 7])
def test_an_arrangement_holds_each_free_code_once(pattern, strides, frames):
    plan = arrange(pattern, frames, strides)
    codes = draw((50,) * len(strides), frames) + 1
    there = plan.scatter(plan.gather(codes), len(strides), frames)
    free = torch.stack([torch.arange(frames) % s == 0 for s in strides])
    assert there.equal(codes * free)
    assert int(plan.filled.sum()) == int(free.sum())


def test_arrangements_by_hand():
    def steps(pattern):
        plan = arrange(pattern, 3, (1, 1))
        return [
            [f"{k}{t}" if t >= 0 else "-" for k, t in zip(ks, ts, strict=True)]
            for ks, ts in zip(plan.codebook.tolist(), plan.frame.tolist(), strict=True)
        ]

    assert steps("parallel") == [["00", "10"], ["01", "11"], ["02", "12"]]
    assert steps("delay") == [["00", "-"], ["01", "10"], ["02", "11"], ["-", "12"]]
    assert arrange("delay", 3, (1, 1)).frame.min() == -1  # what an empty slot holds
    assert sum(steps("interleaved"), []) == ["00", "10", "01", "11", "02", "12"]
    assert sum(steps("coarse_first"), []) == ["00", "01", "02", "10", "11", "12"]
    with pytest.raises(ValueError, match="not 'flatten'"):
        arrange("flatten", 3, (1,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sizes", "strides", "frames"),
    [((2, 3), (1, 1), 2), ((2, 3), (2, 1), 2), ((3,), (), 2), ((2, 3), (4, 2), 5), ((3,), (2,), 4)],
)
def test_the_likelihoods_of_all_clips_sum_to_one(kind, sizes, strides, frames):
    model = make(kind, sizes, strides)
    strides = strides or (1,) * len(sizes)
    slots = [(k, t) for k, s in enumerate(strides) for t in range(0, frames, s)]
    clips = []
    for values in itertools.product(*(range(sizes[k]) for k, _ in slots)):
        codes = torch.zeros(len(sizes), frames, dtype=torch.int64)
        for (k, t), value in zip(slots, values, strict=True):
            codes[k, t : t + strides[k]] = value
        clips.append(codes)
    total = float(torch.exp2(-model.bits(torch.stack(clips)).detach()).sum())
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [7, 8])
def test_merged_codes_cost_what_the_same_codes_cost_without_empty_steps(kind, frames):
    """A single codebook merged by 2, and two that have the divisor 2."""
    for strides, reduced in (((2,), (1,)), ((4, 2), (2, 1))):
        sizes = (5, 7)[: len(strides)]
        codes = draw(sizes, frames, strides=strides)
        merged, plain = make(kind, sizes, strides), make(kind, sizes, reduced)
        scored, expected = merged(codes), plain(codes[:, :, ::2])
        torch.testing.assert_close(scored.nats[:, :, ::2], expected.nats)
        assert scored.hits[:, :, ::2].equal(expected.hits) and not scored.nats[:, :, 1::2].any()
        assert merged.loss(codes).allclose(plain.loss(codes[:, :, ::2]))
        more = merged.generate(codes, 4, Sampling(temperature=0))
        same = plain.generate(codes[:, :, ::2], 2, Sampling(temperature=0))
        assert more[:, :, ::2].equal(same)


def test_a_merged_codebook_has_no_empty_steps():
    plan = arrange("delay", 6, (2,))
    assert plan.frame.tolist() == [[0], [2], [4]] and plan.filled.all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_model_sees_the_future(kind):
    """A changed code changes only what comes after it in the model's order."""
    sizes, frames = (5, 7, 3), 6
    model, codes = make(kind, sizes), draw(sizes, frames, batch=1)
    before = model(codes).nats[0]
    for k, t in itertools.product(range(3), range(frames)):
        other = codes.clone()
        other[0, k, t] = (other[0, k, t] + 1) % sizes[k]
        moved = (model(other).nats[0] - before).abs() > 1e-6
        for j, s in moved.nonzero().tolist():
            later = {
                "parallel": s > t,
                "delay": s + j > t + k,
                "interleaved": (s, j) > (t, k),
                "coarse_first": (j, s) > (k, t),
                "rq": (s, j) > (t, k),
            }[kind]
            assert later or (j, s) == (k, t)


def test_a_new_transformer():
    """Its parameters, and their values as GPT-2's: outputs are smaller by the number of layers."""
    torch.manual_seed(0)
    model = Transformer(64, 2, 8)
    parameters = dict(model.named_parameters())
    assert sum(map(torch.Tensor.numel, parameters.values())) == 8 * 12 * 64**2 + 17 * 64
    for name, values in parameters.items():
        if values.ndim == 1:
            assert "norm" in name and values.eq(1).all()
            continue
        scale = 0.02 / (4 if name.endswith(("out.weight", "feed.2.weight")) else 1)
        assert values.std().item() == pytest.approx(scale, rel=0.1)


def test_the_sizes_by_default_fit_together():
    with torch.device("meta"):
        for model in (PatternLM, RQLM):
            config = {PatternLM: PatternLMConfig, RQLM: RQLMConfig}[model]
            assert model(config(codebook_sizes=(4,))).start.shape == (256,)


def test_a_transformer_with_a_cache_gives_the_same():
    torch.manual_seed(0)
    model = Transformer(16, 2, 3).double().eval()
    hidden = torch.randn(2, 9, 16, dtype=torch.float64)
    whole, cache = model(hidden), Cache()
    pieces = [model(part, cache) for part in hidden.split([1, 3, 1, 4], 1)]
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    assert cache.length == 9
    with pytest.raises(ValueError, match="does not divide"):
        Transformer(10, 4, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strides", [(), (2, 1, 1), (2, 4, 2)])
def test_greedy_continuations_are_the_likeliest_codes(kind, strides):
    """Generation with the cache agrees with the likelihoods without it."""
    sizes = (5, 7, 3)
    model, prompt = make(kind, sizes, strides), draw(sizes, 4, strides=strides)
    codes = model.generate(prompt, 3, Sampling(temperature=0))
    assert codes.shape == (2, 3, 7) and codes[..., :4].equal(prompt)
    nats, hits = model(codes)
    for k, t in itertools.product(range(3), range(4, 7)):
        if not model.free(7)[k, t]:
            assert codes[:, k, t].equal(codes[:, k, t - 1])
            continue
        assert hits[:, k, t].all()
        for other in range(sizes[k]):
            changed = codes.clone()
            changed[:, k, t : t + model.strides[k]] = other
            assert (model(changed).nats[:, k, t] >= nats[:, k, t] - 1e-5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_condition_stands_before_the_codes(kind):
    model, codes = make(kind), draw((5, 7, 3), 4)
    condition = torch.randn(2, 3, 16)
    assert not torch.allclose(model(codes, condition).nats, model(codes).nats)
    generated = model.generate(codes, 2, Sampling(temperature=0), condition=condition)
    assert generated.shape == (2, 3, 6)
    empty = model.generate(
        codes[..., :0], 3, Sampling(), generator=torch.Generator().manual_seed(0)
    )
    assert empty.shape == (2, 3, 3) and (empty >= 0).all()


def test_bits_of_sources_known_by_hand():
    """A uniform source costs log2 V; a trained model comes near the entropy of a Markov chain."""
    torch.manual_seed(0)
    uniform = PatternLM(PatternLMConfig(codebook_sizes=(8, 4), **SMALL))
    for head in uniform.heads:
        torch.nn.init.zeros_(head.weight)
    bits = uniform.bits(draw((8, 4), 10))
    torch.testing.assert_close(bits, torch.full((2,), 10 * (3 + 2), dtype=torch.float64))

    rows = [[0.9, 0.1, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0.25, 0.75], [1.0, 0, 0, 0]]
    step = torch.tensor(rows)
    shares = torch.linalg.matrix_power(step, 200)[0]
    entropy = float((shares[:, None] * torch.special.entr(step)).sum()) / math.log(2)
    model = PatternLM(PatternLMConfig(codebook_sizes=(4,), **SMALL))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def chain(batch, length):
        states = [torch.randint(4, (batch,))]
        for _ in range(length - 1):
            states.append(torch.multinomial(step[states[-1]], 1)[:, 0])
        return torch.stack(states, 1)[:, None]

    for _ in range(150):
        optimizer.zero_grad()
        model.loss(chain(16, 32)).backward()
        optimizer.step()
    bits_per_frame = float(model.bits(chain(64, 200)).detach().mean()) / 200
    assert entropy - 0.02 < bits_per_frame < entropy + 0.06


def test_sampling_draws_from_what_it_leaves():
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log().expand(4000, -1)
    none, generator = torch.zeros(4000, 0, dtype=torch.int64), torch.Generator().manual_seed(0)

    def shares(sampling, past=none):
        sampled = sampling.sample(logits, past, generator)
        return (sampled.bincount(minlength=4) / len(sampled)).tolist()

    assert shares(Sampling()) == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.03)
    assert shares(Sampling(top_k=2)) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.03)
    assert shares(Sampling(top_p=0.7)) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.03)
    assert shares(Sampling(temperature=0)) == [1, 0, 0, 0]
    half = [x**2 / 0.345 for x in (0.5, 0.25, 0.15, 0.1)]
    assert shares(Sampling(temperature=0.5)) == pytest.approx(half, abs=0.03)
    aware = Sampling(top_k=1, repetition_window=10, repetition_ratio=0.3)
    zeros = torch.zeros(4000, 10, dtype=torch.int64)
    assert shares(aware, zeros)[0] == pytest.approx(0.5, abs=0.03)
    assert shares(aware, zeros + 1)[0] == 1
    with pytest.raises(ValueError, match="top_p 0"):
        Sampling(top_p=0)
