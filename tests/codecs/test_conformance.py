"""Every codec of this package that loads here keeps every promise that applies to it."""

import pytest

import audiotok
from audiotok.errors import CheckpointError
from audiotok.testing import examine

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
    for outcome in examine(codec):
        assert outcome.state != "broken", f"{outcome.promise}: {outcome.why}"
        if outcome.state == "not checked":
            no_network = "it has no network", "its codes do not change with the sound"
            assert outcome.why.startswith("does not apply") or outcome.why in no_network
