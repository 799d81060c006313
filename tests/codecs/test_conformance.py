"""Every codec of this package that loads here keeps every promise that applies to it.

What a class decides (`OF_THE_CARD` leaves it out) is checked on the first codec of each family.
"""

import pytest
from support.promises import OF_THE_CARD

import audiotok
from audiotok.errors import CheckpointError, MissingPackageError
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
    except (CheckpointError, MissingPackageError) as error:
        pytest.skip(str(error))
    promises = PROMISES if FIRST[family] == name else OF_THE_CARD
    for outcome in examine(codec, promises):
        assert outcome.state != "broken", f"{outcome.promise}: {outcome.why}"
        if outcome.state == "not checked":
            no_network = "it has no network", "its codes do not change with the sound"
            assert outcome.why.startswith("does not apply") or outcome.why in no_network
