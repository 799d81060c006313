"""The .atok file: any bytes give Tokens or one TokensError, and every flipped bit is noticed."""

import json
import os
import struct
import subprocess
import sys
import time
import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from support.token_kit import make, same

from audiotok.errors import TokensError
from audiotok.tokens import Tokens, atok


@given(
    st.lists(st.tuples(st.integers(2, 70_000), st.integers(1, 8)), min_size=1, max_size=4),
    st.integers(1, 300),
    st.integers(1, 2),
    st.sampled_from([None, torch.int32, torch.int64]),
)
@settings(deadline=None, max_examples=100)
def test_round_trip(books, num_frames, channels, side_type):
    sizes, strides = zip(*books, strict=True)
    side = None if side_type is None else torch.arange(-3, 3, dtype=side_type).reshape(2, 3)
    tokens = make(sizes, strides, num_frames, side, channels)
    data = tokens.to_bytes()
    same(tokens, Tokens.from_bytes(data))
    assert data == Tokens.from_bytes(data).to_bytes()


def test_bit_packing_by_hand():
    codes = torch.tensor([0b101, 0b001, 0b111])
    assert atok.pack(codes, 3) == bytes([0b10100111, 0b10000000])
    assert atok.unpack(bytes([0b10100111, 0b10000000]), 3, 3).tolist() == [5, 1, 7]


@pytest.mark.parametrize("bits", [1, 7, 8, 10, 12, 16, 24])
def test_packing_in_chunks(monkeypatch, bits):
    codes = torch.randint(2**bits, (1001,), generator=torch.Generator().manual_seed(bits))
    whole = atok.pack(codes, bits)
    monkeypatch.setattr(atok, "_CHUNK", 64)
    assert atok.pack(codes, bits) == whole
    assert torch.equal(atok.unpack(whole, 1001, bits), codes)
    assert len(whole) == -(-1001 * bits // 8)


def test_only_free_codes_are_kept():
    header = len(make((2**16, 2**16), (1, 1), 1).to_bytes())
    assert len(make((2**16, 2**16), (1, 8), 800).to_bytes()) - header < 2 * 800 + 2 * 100 + 20


def test_safetensors_reads_it(tmp_path):
    tokens = make(side=torch.tensor([7], dtype=torch.int32))
    tokens.save(tmp_path / "a.atok")
    with safe_open(tmp_path / "a.atok", framework="pt") as file:
        assert set(file.keys()) == {"codes", "side"}
        assert file.get_tensor("side").tolist() == [7]
        assert file.metadata()["codec"] == "tiny:a=1"
        assert file.metadata()["fingerprint"] == "ab" * 32
    same(tokens, Tokens.load(tmp_path / "a.atok"))


def test_every_flipped_bit_is_noticed():
    data = make(side=torch.tensor([7, -1], dtype=torch.int64)).to_bytes()
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            refuses(bytes(damaged))


def test_every_truncation_and_every_tail_is_noticed():
    data = make().to_bytes()
    for length in range(len(data)):
        refuses(data[:length])
    refuses(data + b"\0")


def refuses(data, message=None):
    with pytest.raises(TokensError, match=message) as caught:
        Tokens.from_bytes(data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=300)
def test_any_bytes(data):
    refuses(data)
    refuses(struct.pack("<Q", len(data)) + data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def edited(change, payload=None):
    """A file whose header was changed and whose checksum is right: an attacker's, not damage."""
    data = make().to_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    payload = data[8 + length :] if payload is None else payload
    metadata = header.get("__metadata__")
    if isinstance(metadata, dict):
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        metadata["crc32"] = atok._checksum(metadata, entries, payload)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + payload


def test_an_edited_file_can_be_read_at_all():
    assert Tokens.from_bytes(edited(lambda header: None)).num_frames == 20


@given(
    st.sampled_from(["__metadata__", "codes", "side", "other"]),
    JSON | st.sampled_from([{}, {"dtype": "I64", "shape": [10**15], "data_offsets": [0, 8]}]),
)
@settings(deadline=None, max_examples=150)
def test_any_header(key, value):
    refuses(edited(lambda header: header.__setitem__(key, value)))


@given(
    st.sampled_from(sorted(atok._FIELDS - {"crc32", "codec", "fingerprint"})),
    st.text(max_size=20)
    | st.lists(st.integers(-3, 10**18), max_size=4).map(lambda n: ",".join(map(str, n))),
)
@settings(deadline=None, max_examples=300)
def test_any_field(field, text):
    data = edited(lambda header: header["__metadata__"].__setitem__(field, text))
    try:
        tokens = Tokens.from_bytes(data)
    except TokensError as error:
        assert "\n" not in str(error)
    else:
        assert tokens.codes.numel() == 40


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "atok-3", "has format 'atok-3'; this version reads atok-1 and atok-2"),
        ("format", "atok-2", "its header is not the one expected"),  # has nothing of format 2
        ("shape", "1,2,1000000000000", "frames 1000000000000 is not"),
        ("shape", "1,2,400000000", "codes in total 800000000 is not"),
        ("shape", "1,2,200000000", "tensors do not fit"),
        ("shape", "2,20", "shape \\(2, 20\\), not"),
        ("shape", "0,2,20", "channels 0"),
        ("shape", "1,1,20", "1 codebooks have 2 sizes"),
        ("strides", "0,1", "stride 0"),
        ("codebook_sizes", "1,5", "codebook_size 1 is not"),
        ("codebook_sizes", "600,5", "is not in 0..599"),
        ("num_samples", "0", "num_samples 0"),
        ("num_samples", "-5", "has num_samples '-5', expected integers"),
        ("num_samples", "1e9", ", expected integers"),
        ("num_samples", "9" * 15, "num_samples 999999999999999 is not"),
        ("num_samples", "9" * 5000, ", expected integers"),
        ("num_samples", "१६०००", ", expected integers"),
        ("sample_rate", "4000000000", "sample_rate 4000000000 is not"),
        ("codec", "", "codec is text of"),
    ],
)
def test_forged_fields(field, value, message):
    refuses(edited(lambda header: header["__metadata__"].__setitem__(field, value)), message)


def test_forged_fields_cost_nothing():
    """1 kB that promises the largest clip allowed is refused without allocating it."""
    program = f"""
import resource
from audiotok.errors import TokensError
from audiotok.tokens import Tokens
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    Tokens.from_bytes({edited(lambda h: h["__metadata__"].update(shape="1,2,260000000"))!r})
except TokensError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 20_000  # kB


def test_what_is_repeated_is_bounded():
    """Few codes that strides repeat to gigabytes; such files are not written either."""
    sizes, strides = (2,), (32,)
    atok.check_numbers((1, 1, 2**24), sizes, strides, 1, 16_000)
    with pytest.raises(TokensError, match="16777217 codes have only 524289 bits"):
        atok.check_numbers((1, 1, 2**24 + 1), sizes, strides, 1, 16_000)
    atok.check_numbers((1, 1, 2**29), (2**12,), (4,), 1, 16_000)  # merged, of a usual codec
    side = {"dtype": "I64", "shape": [2**24 + 1], "data_offsets": [29, 29 + 8 * (2**24 + 1)]}
    data = edited(lambda header: header.__setitem__("side", side))
    with pytest.raises(TokensError, match="tensors do not fit"):
        atok.check(data, len(data) + side["data_offsets"][1] - 29)


def test_of_a_large_file_only_the_header_is_read(tmp_path):
    path = tmp_path / "a.atok"
    path.write_bytes(make().to_bytes())
    os.truncate(path, 10 * 2**30)  # sparse
    tracemalloc.start()
    try:
        with pytest.raises(TokensError, match="tensors do not fit its header"):
            Tokens.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.atok")
    for path in (tmp_path / "pipe.atok", "/dev/zero"):
        with pytest.raises(TokensError, match="it is a pipe or a device, expected a file"):
            Tokens.load(path)


def test_deep_and_long_headers():
    for text in (b"[" * 60_000, b'{"a":' * 10_000, b'"' + b"a" * 65_000):
        refuses(struct.pack("<Q", len(text)) + text)
    start = time.perf_counter()
    refuses(struct.pack("<Q", 2**63) + b"{}")
    refuses(struct.pack("<Q", 70_000) + b" " * 70_000, "declares a header of 70000 bytes")
    assert time.perf_counter() - start < 1


def test_a_name_that_is_too_long_is_not_written():
    codes = torch.zeros(1, 1, 1, dtype=torch.int64)
    with pytest.raises(TokensError, match="codec is text of 1 to 1024"):
        Tokens(codes, "a" * 2000, "b", 1, 16_000, (2,))


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(TokensError, match="a.atok cannot be read: No such file"):
        Tokens.load(tmp_path / "a.atok")
    with pytest.raises(TokensError, match="cannot be read: Is a directory"):
        Tokens.load(tmp_path)
    (tmp_path / "b.atok").write_bytes(b"RIFF")
    with pytest.raises(TokensError, match="b.atok: not an .atok file: 4 bytes are too few"):
        Tokens.load(tmp_path / "b.atok")
    with pytest.raises(TokensError, match="cannot write"):
        make().save(tmp_path / "no" / "a.atok")
