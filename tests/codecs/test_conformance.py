"""Every codec of this package that loads here keeps every promise."""

import pytest

import audiotok
from audiotok.errors import CheckpointError
from audiotok.testing import check_codec

NAMES = [
    card.name
    for card in audiotok.list_codecs()
    if card.weights is None or card.weights.bundled is not None
]


@pytest.mark.parametrize("name", NAMES)
def test_conforms(name):
    try:
        codec = audiotok.load(name)
    except CheckpointError as error:
        pytest.skip(str(error))
    check_codec(codec)
