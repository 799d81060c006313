"""How codecs run: the same whatever the caller has set, and nothing changed, in threads as well."""

import itertools
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support import tiny_codec
from torch import nn

import audiotok
from audiotok.codec.inference import inference
from audiotok.sound import resampling
from audiotok.system.defaults import pytorch_defaults
from audiotok.testing import context

CARD = tiny_codec.Tiny.CARDS[0]
ORDERS = sorted(set(itertools.permutations("aabb")))
CPU = torch.device("cpu")


@pytest.fixture
def flags():
    """The flags of a user who wants speed; what they are now is compared afterwards."""
    backends = torch.backends
    mine = [
        (backends.cuda.matmul, "fp32_precision", "tf32"),
        (backends.mkldnn.matmul, "fp32_precision", "bf16"),
        (backends.cudnn, "benchmark", True),
        (backends.cudnn, "deterministic", False),
    ]
    before = [getattr(owner, name) for owner, name, _ in mine]
    for owner, name, value in mine:
        setattr(owner, name, value)
    yield
    result = [getattr(owner, name) for owner, name, _ in mine]
    for (owner, name, _), value in zip(mine, before, strict=True):
        setattr(owner, name, value)
    assert result == [value for *_, value in mine]


def networks(count):
    """One network for two threads, or one for each, in training mode but for a part."""
    made = [nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.ReLU())) for _ in "ab"]
    for network in made:
        network.train()[1][1].eval()
    return dict(zip("ab", made if count == 2 else made[:1] * 2, strict=True))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("order", ORDERS)
def test_two_threads_overlap_in_every_order(order, count, device, flags):
    pairs = networks(count)
    guards = {name: inference(network, torch.device(device)) for name, network in pairs.items()}
    threads = {name: ThreadPoolExecutor(1) for name in "ab"}
    inside = dict.fromkeys("ab", False)
    backends = torch.backends
    for name in order:
        guard = guards[name]
        step = (lambda g=guard: g.__exit__(None, None, None)) if inside[name] else guard.__enter__
        threads[name].submit(step).result()
        inside[name] = not inside[name]
        exact = "ieee" if any(inside.values()) else "bf16"
        assert backends.mkldnn.matmul.fp32_precision == exact
        if device == "cuda":
            assert backends.cudnn.deterministic == any(inside.values())
        for each, network in pairs.items():
            running = inside[each] or (count == 1 and any(inside.values()))
            modes = [module.training for module in network.modules()]
            assert modes == ([False] * 5 if running else [True, True, True, True, False])
    for thread in threads.values():
        thread.shutdown()


def test_many_threads_encode_with_one_codec_and_with_two(flags):
    codecs = [tiny_codec.Tiny(CARD) for _ in range(2)]
    generator = torch.Generator().manual_seed(0)
    sounds = [
        audiotok.Audio(0.1 * torch.randn(1, size, generator=generator), 16_000)
        for size in (900, 1_800, 2_700, 3_600)
    ]
    expected = [codecs[0].encode(sound).codes for sound in sounds]
    for codec in codecs:
        codec.network.train()
    jobs = [(codec, index) for codec in codecs for index in range(len(sounds))] * 8

    def work(job):
        codec, index = job
        codes = codec.encode(sounds[index]).codes
        return torch.equal(codes, expected[index])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, jobs))
    assert all(module.training for codec in codecs for module in codec.network.modules())


def test_a_part_that_was_replaced_runs_in_eval_mode_too():
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.ReLU())
    with inference(network, CPU):
        pass
    network[0][0] = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    network.train()
    with inference(network, CPU):
        assert not any(module.training for module in network.modules())
    assert all(module.training for module in network.modules())


def test_a_network_is_not_kept_alive():
    network = nn.Linear(2, 2)
    with inference(network, CPU):
        pass
    gone = weakref.ref(network)
    del network
    assert gone() is None


def test_an_error_inside_restores_all(flags):
    network = nn.Dropout()
    with pytest.raises(ZeroDivisionError), inference(network, CPU):
        assert not network.training
        raise ZeroDivisionError
    assert network.training and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("state", context._AMBIENT)
def test_defaults_inside(state):
    with context._AMBIENT[state]():
        around = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
        with pytorch_defaults():
            made = torch.zeros(1) @ torch.zeros(1, 1)
            assert (made.dtype, made.device) == (torch.float32, CPU)
            assert not made.is_inference() and not torch.is_grad_enabled()
        result = torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()
        assert result == around


def test_the_default_dtype_in_two_threads():
    torch.set_default_dtype(torch.float64)
    try:
        entered, left = threading.Event(), threading.Event()

        def other():
            with pytorch_defaults():
                entered.set()
                left.wait(10)

        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(10)
        with pytorch_defaults():
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float32  # the other thread needs it
        left.set()
        thread.join()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("state", context._AMBIENT)
def test_reading_and_resampling_in_any_state(state):
    """Resamplers are kept: one made in a strange state must not serve later callers."""
    samples = 0.1 * torch.randn(3_000, generator=torch.Generator().manual_seed(0))
    rates = {"expected": 44_100, "found": 44_100}
    resampled = {}
    for name in rates:
        resampling._resampler.cache_clear()
        with context._AMBIENT[state]() if name == "found" else pytorch_defaults():
            audio = audiotok.sound.audio.as_audio((samples.numpy(), 44_100)).resample(16_000)
            resampled[name] = audio.waveform
    assert torch.equal(resampled["expected"], resampled["found"])
    again = audiotok.Audio(samples[None], 44_100).resample(16_000).waveform
    assert torch.equal(again, resampled["expected"]) and not again.is_inference()


def test_gradients_on_request():
    network = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))
    network.eval()
    with inference(network, CPU, grad=True):
        network(torch.zeros(3, 2))[0].sum().backward()
        assert not network[1].training
    assert network[0].weight.grad is not None
    with inference(network, torch.device("cuda"), grad=True):
        assert network[1].training and not network.training  # as cuDNN wants it
    assert not network[1].training
