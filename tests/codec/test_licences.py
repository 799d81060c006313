"""Licences that restrict, and one that its authors left open."""

import pytest

from audiotok.codec import licences, registry


@pytest.mark.parametrize("name", ["encodec-24k", "encodec-48k"])
def test_the_licence_of_encodecs_weights_is_unclear(name):
    card = registry.find_card(name)
    assert (card.licence_code, card.licence_weights) == ("MIT", licences.UNCLEAR)
    assert card.restricted
    line = licences.warning(card.name, card.licence_weights)
    assert line == f"the licence of the weights of {name} is unclear: their authors name none"


def test_what_restricts():
    assert not licences.restricts(None) and not licences.restricts("MIT")
    assert licences.restricts("CC-BY-NC-4.0")
    assert "are under CC-BY-NC-4.0: see its terms" in licences.warning("x", "CC-BY-NC-4.0")
