"""Every codec of this package that loads here keeps every promise that applies to it.

Another process is started for the first codec of each family only: it takes six seconds each.
"""

import pytest
from support.promises import WITHOUT_PROCESSES

import audiotok
from audiotok.errors import CheckpointError
from audiotok.testing import PROMISES, examine

CARDS = [
    card
    for card in audiotok.list_codecs()
    if card.weights is None or card.weights.bundled is not None
]
FIRST = {card.family: card.name for card in reversed(CARDS)}


@pytest.mark.usefixtures("forked_processes")
@pytest.mark.parametrize(("name", "family"), [(card.name, card.family) for card in CARDS])
def test_conforms(name, family):
    try:
        codec = audiotok.load(name)
    except CheckpointError as error:
        pytest.skip(str(error))
    promises = PROMISES if FIRST[family] == name else WITHOUT_PROCESSES
    for outcome in examine(codec, promises):
        assert outcome.state != "broken", f"{outcome.promise}: {outcome.why}"
        if outcome.state == "not checked":
            no_network = "it has no network", "its codes do not change with the sound"
            assert outcome.why.startswith("does not apply") or outcome.why in no_network
