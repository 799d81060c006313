"""SEANet's blocks against what PyTorch and a hand can say of them."""

import pytest
import torch
from torch.nn import functional as F

from audiotok.nn.chunks import chunk_lengths, normalise, overlap_add
from audiotok.nn.convolutions import PaddedConv1d, TrimmedConvTranspose1d
from audiotok.nn.seanet import (
    ELU,
    ResidualLSTM,
    SEANetDecoder,
    SEANetEncoder,
    Snake,
    fold_weight_norm,
)

KINDS = [{"causal": True}, {"group_norm": True}, {"snake": True}, {"channels": 2}, {}]


@pytest.mark.parametrize("kind", KINDS)
def test_decoder_gives_back_the_samples_of_the_encoder(kind):
    torch.manual_seed(0)
    sizes = {"dimension": 4, "num_filters": 4, "strides": (2, 4, 5), "num_lstm_layers": 1}
    encoder, decoder = SEANetEncoder(**sizes, **kind), SEANetDecoder(**sizes, **kind)
    for length in (1, 39, 40, 41, 203):
        waveform = torch.randn(2, kind.get("channels", 1), length)
        with torch.no_grad():
            latents = encoder(waveform)
            assert latents.shape == (2, 4, -(-length // 40))
            decoded = decoder(latents)
        assert decoded.shape == (*waveform.shape[:2], latents.shape[-1] * 40)


def test_causal_padding_reflects_on_the_left_and_fills_the_last_window():
    conv = PaddedConv1d(1, 1, 4, 2, bias=False, causal=True)
    conv.weight.data[:] = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    with torch.no_grad():
        output = conv(torch.tensor([[[1.0, 2.0, 3.0]]]))
    # reflected to 3 2 1 2 3 2: two on the left, one to fill the window
    assert output.flatten().tolist() == [2123, 2321]


@pytest.mark.parametrize("length", [1, 2, 3, 9])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (7, 1), (4, 2), (10, 5)])
def test_padding_is_the_same_with_and_without_gradients(length, causal, kernel, stride):
    conv = PaddedConv1d(2, 3, kernel, stride, causal=causal)
    waveform = torch.randn(2, 2, length)
    with torch.no_grad():
        plain = conv(waveform)
    assert plain.shape == (2, 3, -(-length // stride))
    assert torch.equal(plain, conv(waveform).detach())


@pytest.mark.parametrize(("causal", "kept"), [(True, [0, 1, 2, 3, 4]), (False, [3, 4, 5, 6, 7])])
def test_a_transposed_convolution_is_trimmed(causal, kept):
    conv = TrimmedConvTranspose1d(1, 1, 5, causal=causal)
    torch.nn.init.zeros_(conv.bias)
    conv.weight.data[:] = torch.arange(10.0)
    with torch.no_grad():
        assert conv(torch.ones(1, 1, 1)).flatten().tolist() == kept
        assert conv(torch.ones(1, 1, 3)).shape == (1, 1, 15)


def test_group_norm_sees_what_is_trimmed():
    torch.manual_seed(0)
    conv = TrimmedConvTranspose1d(3, 4, 2, group_norm=True)
    torch.nn.init.normal_(conv.norm.weight)
    frames = torch.randn(1, 3, 5)
    with torch.no_grad():
        whole = F.conv_transpose1d(frames, conv.weight, conv.bias, stride=2)
        whole = (whole - whole.mean()) / (whole.var(unbiased=False) + 1e-5).sqrt()
        whole = whole * conv.norm.weight[:, None] + conv.norm.bias[:, None]
        torch.testing.assert_close(conv(frames), whole[..., 1:-1])


def test_a_bidirectional_lstm_adds_its_input_to_both_halves():
    torch.manual_seed(0)
    block = ResidualLSTM(3, 2, bidirectional=True)
    hidden = torch.randn(2, 3, 7)
    output = block(hidden)
    assert output.shape == (2, 6, 7)
    alone = block.lstm(hidden.permute(2, 0, 1))[0].permute(1, 2, 0)
    torch.testing.assert_close(output - alone, torch.cat([hidden, hidden], dim=1))
    # the second half reads backwards: its last frame has seen no other
    changed = hidden.clone()
    changed[..., 0] += 1
    moved = (block(changed) - output).abs().amax(dim=(0, 1)) > 1e-6
    assert moved.all()


@pytest.mark.parametrize("num_frames", [1, 2, 8])
def test_step_by_step_is_the_same_lstm(num_frames):
    torch.manual_seed(0)
    block = ResidualLSTM(16, 2, stepwise=True)
    hidden = torch.randn(3, 16, num_frames)
    with torch.no_grad():
        calls = []
        block._step_by_step, original = (
            lambda *given: calls.append(1) or original(*given),
            block._step_by_step,
        )
        result = block(hidden)
        block.stepwise = False
        torch.testing.assert_close(result, block(hidden), rtol=1e-5, atol=1e-6)
    assert calls == [1]


def test_many_frames_or_gradients_take_pytorch_s_lstm():
    block = ResidualLSTM(4, 1, stepwise=True)
    block._step_by_step = None  # would raise
    with torch.no_grad():
        assert block(torch.randn(1, 4, 9)).shape == (1, 4, 9)
    assert block(torch.randn(1, 4, 2)).requires_grad


def test_no_network_steps_unless_told():
    for part in (SEANetEncoder, SEANetDecoder):
        lstm = [block for block in part(4, 2, (2,)).modules() if isinstance(block, ResidualLSTM)]
        messages = [
            b for b in part(4, 2, (2,), stepwise=True).modules() if isinstance(b, ResidualLSTM)
        ]
        assert [block.stepwise for block in lstm + messages] == [False, True]
    assert not ResidualLSTM(4, 1, bidirectional=True, stepwise=True).stepwise


def test_elu_writes_over_what_is_spare_only():
    hidden = torch.tensor([-1.0, 2.0])
    with torch.no_grad():
        kept = ELU()(hidden)
        assert hidden[0] == -1
        assert torch.equal(ELU(spare=True)(hidden), kept)
        assert torch.equal(hidden, kept)
    weight = torch.tensor([-1.0, 2.0], requires_grad=True)
    ELU(spare=True)(weight * 1).sum().backward()
    torch.testing.assert_close(weight.grad, torch.tensor([torch.e**-1, 1.0]))


def test_snake_by_hand():
    block = Snake(2)
    block.alpha.data[0, :, 0] = torch.tensor([0.5, 3.0])
    hidden = torch.tensor([[[1.0], [2.0]]])
    expected = torch.tensor(
        [1 + torch.tensor(0.5).sin() ** 2 / 0.5, 2 + torch.tensor(6.0).sin() ** 2 / 3]
    )
    torch.testing.assert_close(block(hidden).flatten(), expected)


def test_fold_weight_norm_takes_both_ways_of_writing_it():
    torch.manual_seed(0)
    conv = torch.nn.utils.parametrizations.weight_norm(torch.nn.ConvTranspose1d(3, 5, 4))
    conv.parametrizations.weight.original0.data.uniform_(0.5, 2)
    state = {f"a.{key}": tensor for key, tensor in conv.state_dict().items()}
    old = {
        "a.bias": conv.bias,
        "a.weight_g": conv.parametrizations.weight.original0,
        "a.weight_v": conv.parametrizations.weight.original1,
    }
    for written in (state, old):
        folded = fold_weight_norm(written)
        assert folded.keys() == {"a.weight", "a.bias"}
        assert torch.equal(folded["a.weight"], conv.weight)
    assert fold_weight_norm({"a.weight_g": conv.bias}).keys() == {"a.weight_g"}


def test_chunks_by_hand():
    assert chunk_lengths(1, 10, 8) == [1]
    assert chunk_lengths(8, 10, 8) == [8]
    assert chunk_lengths(9, 10, 8) == [9, 1]
    assert chunk_lengths(26, 10, 8) == [10, 10, 10, 2]


def test_normalise_gives_mono_a_level_of_one():
    chunk = torch.randn(3, 2, 500) * torch.tensor([0.01, 1.0, 5.0])[:, None, None]
    level_one, level = normalise(chunk)
    assert level.shape == (3,)
    torch.testing.assert_close(level_one.mean(1).square().mean(1), torch.ones(3))
    torch.testing.assert_close(level_one * level[:, None, None], chunk)


def test_overlap_add_keeps_what_one_chunk_covers_and_fades_between():
    sound = overlap_add([torch.ones(1, 1, 10), 3 * torch.ones(1, 1, 10)], 8, 15)[0, 0]
    assert sound.shape == (15,)
    torch.testing.assert_close(sound[:8], torch.ones(8))
    torch.testing.assert_close(sound[10:], 3 * torch.ones(5))
    # triangles 2/11, 1/11 fall and 1/11, 2/11 rise
    torch.testing.assert_close(sound[8:10], torch.tensor([(2 + 3) / 3, (1 + 6) / 3]))
