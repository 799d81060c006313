"""The budget is sound, not tokens; crops start at the same seconds; costs add up over windows."""

import math

import pytest
import torch

from audiotok.lm import PatternLM, PatternLMConfig
from audiotok.lm.learning import Budget, _crops, cost, train_model

SMALL = {"dimension": 16, "heads": 2, "layers": 1}


def ramp(seconds: float, rate: int, number: int):
    """Codes that say where they are: the tenth of a second they begin in."""
    frames = torch.arange(round(seconds * rate))
    return (1000 * number + frames * 10 // rate)[None]


def test_every_rate_sees_the_same_sound():
    budget = Budget(seconds=100, crop_seconds=2, batch_size=4)
    starts = {}
    for rate in (10, 50, 100):
        clips = [ramp(seconds, rate, n) for n, seconds in enumerate((3.0, 5.5, 9.1))]
        crops = _crops(clips, frame_rate=rate, unit=1, budget=budget, seed=3)
        starts[rate] = [next(crops) for _ in range(5)]
        assert all(batch.shape == (4, 1, 2 * rate) for batch in starts[rate])
    for slow, fast in zip(starts[10], starts[100], strict=True):
        assert (slow[:, 0, 0] // 1000).equal(fast[:, 0, 0] // 1000)
        assert ((slow[:, 0, 0] - fast[:, 0, 0]).abs() <= 1).all()


def test_short_clips_make_short_batches_and_crops_start_where_codes_are_free():
    budget = Budget(seconds=100, crop_seconds=2, batch_size=3)
    codes = torch.arange(7).repeat_interleave(4)[None]
    crops = _crops([codes, codes], frame_rate=10, unit=4, budget=budget, seed=0)
    for batch, _ in zip(crops, range(10), strict=False):
        assert batch.shape[2] <= 28
        assert (batch[:, 0, 0] == batch[:, 0, min(3, batch.shape[2] - 1)]).all()
    short = next(_crops([torch.zeros(2, 3)], frame_rate=10, unit=1, budget=budget, seed=0))
    assert short.shape == (3, 2, 3)


def test_the_schedule_warms_up_and_falls_to_nothing():
    budget = Budget(seconds=6400, crop_seconds=4, batch_size=8)
    assert budget.steps == 200 and Budget().steps == 300
    assert budget.rate(0) == pytest.approx(1 / 20) and budget.rate(19) == 1
    assert budget.rate(110) == pytest.approx(0.5) and budget.rate(200) == pytest.approx(0)


def test_a_model_learns_what_there_is_to_learn_and_twice_the_same():
    def trained():
        torch.manual_seed(0)
        model = PatternLM(PatternLMConfig(codebook_sizes=(4, 4), **SMALL))
        clips = [torch.stack([torch.arange(40) % 4, (torch.arange(40) + n) % 4]) for n in range(4)]
        budget = Budget(seconds=400, crop_seconds=1, batch_size=4, learning_rate=1e-2)
        return model, clips, train_model(model, clips, frame_rate=20, budget=budget, seed=1)

    model, clips, last = trained()
    again, _, same = trained()
    assert last == same and all(map(torch.equal, model.parameters(), again.parameters()))
    assert last < 0.5 < math.log(4)
    bits, hits, counts = cost(model, clips[0], 20, window_seconds=2.0)
    assert counts.tolist() == [40, 40] and bits < 40
    assert (hits / counts > 0.9).all()
    with pytest.raises(ValueError, match="one frame"):
        train_model(
            model, [torch.zeros(2, 0, dtype=torch.int64)], frame_rate=20, budget=Budget(), seed=0
        )


def test_costs_add_up_over_windows():
    torch.manual_seed(0)
    model = PatternLM(PatternLMConfig(codebook_sizes=(5, 3), strides=(2, 1), **SMALL)).eval()
    codes = torch.stack([torch.randint(5, (5,)).repeat_interleave(2), torch.randint(3, (10,))])
    bits, _, counts = cost(model, codes, 10, window_seconds=0.5)  # 4 frames, then 4, then 2
    assert counts.tolist() == [5, 10]
    parts = [float(model.bits(part[None]).detach()) for part in codes.split(4, 1)]
    assert bits == pytest.approx(sum(parts))
