"""Lyra v2: on small models of the same form, and beside the official models where these are here.

The official files are looked for in the folder AUDIOTOK_LYRA, else where a download puts them.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import audiotok
from audiotok.codec import checkpoints
from audiotok.codecs.lyra import DECODER, ENCODER, QUANTIZER, Lyra
from audiotok.errors import CheckpointError, CodecError
from audiotok.sound import audio
from audiotok.testing import check_codec

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
from support import tiny_lyra  # noqa: E402 (it needs ai-edge-litert)

OFFICIAL = Path(os.environ.get("AUDIOTOK_LYRA") or checkpoints.local_folder("lyra-v2"))
official = pytest.mark.skipif(
    not (OFFICIAL / ENCODER).is_file(), reason=f"no {ENCODER} in {OFFICIAL}: set AUDIOTOK_LYRA"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_lyra.write(tmp_path_factory.mktemp("lyra"))


@pytest.fixture(scope="module")
def speech():
    """3 s at 16 kHz."""
    clip = next(iter(audiotok.data.load("bundled")))
    return audio.read(clip.path).converted(1, 16000)[0, :48_000].numpy()


@pytest.mark.usefixtures("forked_processes")
def test_small_models_keep_every_promise(folder):
    check_codec(audiotok.load("lyra-v2:codebooks=4", checkpoint=folder))


def test_merged_and_fewer_codebooks_are_the_same_codec(folder, speech):
    whole = audiotok.load("lyra-v2", checkpoint=folder)
    part = audiotok.load("lyra-v2:codebooks=16,merge=2", checkpoint=folder)
    assert part.fingerprint == whole.fingerprint
    assert part.card.bitrate == 50 * 4 * 16 - 25 * 4
    tokens = part.encode((speech, 16000))
    assert torch.equal(tokens.codes[0, 0, :-1:2], tokens.codes[0, 0, 1::2])
    assert torch.equal(part.decode(tokens).waveform, whole.decode(tokens).waveform)


def test_codebooks_are_the_vectors_of_single_codes(folder):
    codec = audiotok.load("lyra-v2", checkpoint=folder)
    decode = _runner(folder, "decode")
    for stage, code in ((0, 0), (3, 15), (45, 7)):
        codes = np.full((46, 1, 1), -1, "i4")
        codes[stage] = code
        vector = decode(encoding_indices=codes)["output_0"].reshape(-1)
        assert np.array_equal(codec.codebook(stage)[code].numpy(), vector)


def test_what_it_cannot_do_is_one_line(folder, tmp_path):
    codec = audiotok.load("lyra-v2", checkpoint=folder)
    with pytest.raises(CodecError, match="no gradients: TFLite"):
        codec.encode_latents(torch.zeros(1, 1, 320), grad=True)
    with pytest.raises(CodecError, match="leave out precision"):
        audiotok.load("lyra-v2:precision=fast", checkpoint=folder)
    with pytest.raises(CheckpointError, match="cannot be read .*needs"):
        (tmp_path / ENCODER).write_bytes((folder / ENCODER).read_bytes())
        audiotok.load("lyra-v2", checkpoint=tmp_path)
    for wrong, message in (
        ({DECODER: b"no model at all" * 10}, "is no TFLite model"),
        ({DECODER: (folder / ENCODER).read_bytes()}, "takes .320. numbers a frame"),
        ({QUANTIZER: (folder / ENCODER).read_bytes()}, "is not the quantizer of Lyra v2"),
    ):
        for file in (ENCODER, QUANTIZER, DECODER):
            (tmp_path / file).write_bytes(wrong.get(file, (folder / file).read_bytes()))
        with pytest.raises(CheckpointError, match=message) as caught:
            audiotok.load("lyra-v2", checkpoint=tmp_path)
        assert "\n" not in str(caught.value)


# --- beside the official models ------------------------------------------------------------------


@official
@pytest.mark.parametrize("count", (16, 30, 46))
def test_equals_the_official_models(count, speech):
    codec = audiotok.load(f"lyra-v2:codebooks={count}", checkpoint=OFFICIAL)
    latents = _run(ENCODER, speech.reshape(-1, 1, 320))
    found = codec.encode_latents(torch.from_numpy(speech)[None, None])
    assert np.array_equal(found[0].T.numpy(), latents.reshape(-1, 64))
    encode, decode = _runner(OFFICIAL, "encode"), _runner(OFFICIAL, "decode")
    number = np.array(count, "i4")
    codes = [encode(input_frames=row, num_quantizers=number)["output_0"] for row in latents]
    tokens = codec.encode((speech, 16000))
    assert np.array_equal(tokens.codes[0].T.numpy(), np.stack(codes)[:, :count, 0, 0])
    vectors = np.stack([decode(encoding_indices=one)["output_0"] for one in codes])
    sound = _run(DECODER, vectors).reshape(-1)
    assert np.array_equal(codec.decode(tokens).waveform[0].numpy(), sound)


@official
def test_official_files_are_those_of_the_card():
    checkpoints.verify(OFFICIAL / ENCODER, Lyra.CARDS[0].weights)


@pytest.mark.usefixtures("forked_processes")
@official
def test_official_models_keep_every_promise():
    check_codec(audiotok.load("lyra-v2", checkpoint=OFFICIAL))


def _runner(folder, signature):
    path = str(folder / QUANTIZER)
    return interpreter.Interpreter(path, num_threads=1).get_signature_runner(signature)


def _run(file, frames):
    """What a new interpreter of an official model gives, frame by frame."""
    model = interpreter.Interpreter(str(OFFICIAL / file), num_threads=1)
    model.allocate_tensors()
    made = []
    for frame in frames:
        index = model.get_input_details()[0]["index"]
        model.set_tensor(index, frame)
        model.invoke()
        made.append(model.get_tensor(model.get_output_details()[0]["index"]))
    return np.stack(made)
