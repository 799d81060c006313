"""The families of codecs: modules of codecs/, plug-ins, and a .py file that a user typed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import pkgutil
import sys
from collections.abc import Sequence
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path

from audiotok.codec.codec import Codec, CodecCard
from audiotok.errors import CodecError
from audiotok.system.names import digest

log = logging.getLogger("audiotok")
_CODECS = Path(__file__).parents[1] / "codecs"
TYPED = "audiotok_user_"  # prefix of the modules of .py files that a user typed


@cache
def all_families() -> list[type[Codec]]:
    """The families of codecs/ and of installed plug-ins; a plug-in that fails is left out with a
    warning."""
    families = []
    for module in pkgutil.iter_modules([str(_CODECS)]):
        if module.name.startswith("_"):
            continue
        families += families_of(importlib.import_module(f"audiotok.codecs.{module.name}"))
    seen: dict[str, type[Codec]] = {}
    for family in families:
        for card in family.CARDS:
            if seen.setdefault(card.name, family) is not family:
                raise CodecError(f"two families have a codec {card.name!r}: rename one")
    for plugin in entry_points(group="audiotok.codecs"):
        try:
            families.append(_checked(plugin.load(), families))
        except (Exception, SystemExit) as reason:  # from a plug-in; the others still load
            text = " ".join(str(reason).split()) or type(reason).__name__
            log.warning("the codec plug-in %s is left out: %s", plugin.value, text)
    return families


def _checked(family: object, families: Sequence[type[Codec]]) -> type[Codec]:
    """The class of a plug-in, if it is a valid family; else ValueError with the reason."""
    if not (inspect.isclass(family) and issubclass(family, Codec)):
        raise ValueError("it is no subclass of audiotok.Codec")
    cards, prefix = family.CARDS, family.PREFIX
    if not isinstance(cards, tuple | list) or not all(isinstance(c, CodecCard) for c in cards):
        raise ValueError("its CARDS are no tuple of CodecCard")
    if not cards and not (isinstance(prefix, str) and prefix):
        raise ValueError("it has no CARDS and no PREFIX")
    if family.DEFAULT not in (None, *(card.name for card in cards)):
        raise ValueError(f"its DEFAULT {family.DEFAULT!r} is none of its CARDS")
    all_cards = [card for other in families for card in other.CARDS]
    reserved = {name for card in all_cards for name in (card.name, card.family)}
    reserved |= {other.PREFIX for other in families if other.PREFIX}
    names = [name for card in cards for name in (card.name, card.family)]
    if clashing := reserved.intersection([*names, prefix]):
        raise ValueError(f"{min(clashing)!r} is the name of another codec: uninstall one")
    return family


def families_of(module) -> list[type[Codec]]:
    """The families defined in this module: Codec classes with CARDS, a PREFIX or FILES."""
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Codec)
        and value.__module__ == module.__name__
        and (value.CARDS or value.PREFIX or value.FILES)
    ]


def family_in(path: Path) -> type[Codec]:
    """The one class with CARDS in a .py file that the user typed; reloaded if it has changed."""
    if not path.is_file():
        raise CodecError(f"{path} does not exist: expected a file with a Codec class")
    status = path.stat()
    return _imported(path.resolve(), (status.st_mtime_ns, status.st_size))


@cache
def _imported(path: Path, state: tuple[int, int]) -> type[Codec]:
    # the digest: files of equal names in two folders are two modules
    name = f"{TYPED}{digest(str(path), 12)}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as reason:  # the user's code may raise anything
        text = " ".join(str(reason).split())
        raise CodecError(f"{path} cannot be imported: {type(reason).__name__}: {text}") from reason
    families = [family for family in families_of(module) if family.CARDS]
    if len(families) != 1:
        raise CodecError(f"{path} has {len(families)} Codec classes with CARDS, expected 1")
    # so another process can find the class
    families[0].FOUND_BY = partial(family_in, path.resolve())
    return families[0]
