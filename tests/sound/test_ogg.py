"""Ogg files: every page is checked, joined files are read whole, the end mark is asked for."""

import io

import numpy as np
import pytest
import soundfile
from support.sound_kit import correlation, samples, written

from audiotok.errors import AudioError
from audiotok.sound import ogg
from audiotok.sound.audio import read

KINDS = ("ogg", "opus")
SOUND = samples(32_000)[:, 0]


def pages(data):
    """[start, stop] of each page."""
    result, start = [], 0
    while start < len(data):
        count = data[start + 26]
        stop = start + 27 + count + sum(data[start + 27 : start + 27 + count])
        result, start = [*result, (start, stop)], stop
    return result


def sealed(page):
    """The page with the checksum that fits."""
    return page[:22] + ogg._crc(page[:22] + bytes(4) + page[26:]).to_bytes(4, "little") + page[26:]


def refused(path, data, message):
    path.write_bytes(data)
    with pytest.raises(AudioError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_is_noticed(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    data = written(path, SOUND)
    rng = np.random.default_rng(0)
    for at, bit in zip(rng.integers(0, len(data), 300), rng.integers(0, 8, 300), strict=True):
        bad = bytearray(data)
        bad[at] ^= 1 << bit
        refused(path, bad, ".")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_page_is_noticed(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    data = written(path, samples(100_000)[:, 0])
    parts = pages(data)
    assert len(parts) > 5
    start, stop = parts[len(parts) // 2]
    refused(path, data[:start] + data[stop:], r"pages are missing before byte")


@pytest.mark.parametrize("kind", KINDS)
def test_joined_files_are_read_one_after_another(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    second = samples(20_000, seed=1)[:, 0]
    path.write_bytes(written(path, SOUND) + written(path, second) + written(path, SOUND))
    result = read(path)
    assert result.num_samples == 84_000
    whole = np.r_[SOUND, second, SOUND]
    assert correlation(result.waveform[0].numpy(), whole) > 0.9
    bad = bytearray(path.read_bytes())
    bad[bad.rindex(b"OggS")] ^= 1
    refused(path, bad, "no Ogg page at byte")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_end_mark_is_read_where_that_is_allowed(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    data = written(path, SOUND)
    start = pages(data)[-1][0]
    last = bytearray(data[start:])
    last[5] &= ~ogg.END
    refused(path, data[:start] + sealed(bytes(last)), "does not end the stream; --allow-truncated")
    assert read(path, allow_truncated=True).num_samples == 32_000


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_behind_the_end_and_other_streams_between(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    data = written(path, SOUND)
    path.write_bytes(data + b"TAG" + bytes(125))
    assert read(path).num_samples == 32_000
    other = ogg.build([(0, [b"\x80theora" + bytes(30)]), (0, [b"picture"]), (1, [bytes(100)])])
    first, second, third = (other[a:b] for a, b in pages(other))
    own = [data[a:b] for a, b in pages(data)]
    path.write_bytes(b"".join([first, own[0], second, *own[1:-1], third, own[-1]]))
    assert read(path).num_samples == 32_000


def test_the_pages_of_a_file_are_put_together_again():
    file = io.BytesIO()
    soundfile.write(file, SOUND, 16_000, format="OGG", subtype="OPUS")
    packets = list(ogg.packets(file.getvalue()))
    built = ogg.build([(0, packets[:1]), (0, packets[1:2]), (10, packets[2:50])])
    assert list(ogg.packets(built)) == packets[:50]
    result, missing = ogg.links(io.BytesIO(built), len(built))
    assert not missing and len(result) == 1 and result[0].ranges == [[0, len(built)]]
    assert (result[0].codec, result[0].ended) == ("Opus", True)
