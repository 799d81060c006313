"""The cards of S3Tokenizer, and what is said where its package is not installed."""

import sys

import pytest

import audiotok
from audiotok.codec import registry
from audiotok.errors import MissingPackageError


def test_cards():
    rates = {
        card.name: (card.frame_rate, card.codebook_sizes, bool(card.needs))
        for card in audiotok.list_codecs()
        if card.family == "s3tokenizer"
    }
    assert rates == {
        "s3tokenizer-v1": (50, (4096,), True),
        "s3tokenizer-v1-25hz": (25, (4096,), True),
        "s3tokenizer-v2": (25, (3**8,), True),
        "s3tokenizer-v3": (25, (3**8,), True),
    }
    assert registry.find_card("s3tokenizer").name == "s3tokenizer-v2"


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "s3tokenizer", None)
    (tmp_path / "v2.onnx").write_bytes(b"")
    message = r"s3tokenizer-v2 needs .*pip install 'audiotok\[s3tokenizer\]'"
    with pytest.raises(MissingPackageError, match=message):
        audiotok.load("s3tokenizer-v2", tmp_path / "v2.onnx")
