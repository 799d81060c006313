"""From a name to a codec.

A name that the user typed may be a path or a name on the Hub. A name that comes from a file
(`names.Recorded`) is only looked up among the cards: it never runs code or starts a download.
"""

from __future__ import annotations

import difflib
import json
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from audiotok.codec import checkpoints, licences
from audiotok.codec.codec import Codec, CodecCard, Weights
from audiotok.codec.devices import AUTO, find_device
from audiotok.codec.families import TYPED, all_families, family_in
from audiotok.codec.inference import LOADING
from audiotok.codec.variants import vary
from audiotok.errors import CodecError
from audiotok.system.names import Recorded

log = logging.getLogger("audiotok")
_TRAINED = ".safetensors"
HUB = "hub:"  # prefix of repositories that `audiotok push` wrote
HUB_FILE = "model.safetensors"
# Names of families for which a warning has said which codec they stand for
_announced: set[str] = set()
MERGES = 4  # the highest merge rate that `merge=*` stands for


def load(
    name: str | Path,
    checkpoint: str | Path | None = None,
    device: str = AUTO,
    quiet: bool = False,
    *,
    autoencoder: bool = False,
    random_weights: bool = False,
) -> Codec:
    """Loads a codec; it can then encode and decode.

    Args:
        name: of a codec (`list_codecs`) or of a family, which stands for its default codec; a path
            `file.py` or `file.py::codec`; a .safetensors file that `audiotok train` or
            `audiotok convert` wrote; or `hub:org/name` (`hub:org/name@revision`), a repository of
            the Hugging Face Hub that `audiotok push` wrote. Options follow a name,
            `name:key=value,key=value`. A `Recorded` name is given to `load_recorded`.
        checkpoint: file or folder of weights to use instead of the codec's own.
        device: "cpu", "cuda", "cuda:1", or "auto": $AUDIOTOK_DEVICE, else a GPU if there is one,
            else the CPU.
        quiet: do not warn about a restrictive licence, or that the name of a family stands for one
            of its codecs (a warning that comes once per process), or that a GPU was taken.
        autoencoder: also accept weights without a trained quantizer, to continue their training.
        random_weights: random weights of the official sizes, the same each time, to try out a codec
            whose weights are not at hand; not every codec has them. Its codes mean nothing.

    Raises:
        CodecError: no codec has this name, or its file cannot be used.
        CheckpointError: the weights are missing, damaged or those of another codec.
    """
    if isinstance(name, Recorded):
        return load_recorded(name, checkpoint, device, autoencoder=autoencoder)
    name = _downloaded(str(name))
    family, card = _find(name)
    base = name.partition(":")[0]
    if is_weights(name):
        if checkpoint is not None:
            raise CodecError(f"{base} holds its weights: leave out the checkpoint {checkpoint}")
        checkpoint = base
    if not quiet and is_family(name, card) and base not in _announced:
        _announced.add(base)
        log.warning(
            "%s is %s (%s)%s", base, card.name, card.description, _official_names(family, card)
        )
    if card.restricted and not quiet:
        log.warning("%s", licences.warning(card.name, card.licence_weights))
    if random_weights:
        if checkpoint is not None:
            raise CodecError(f"random weights or {checkpoint}, not both: leave out one")
        check_random(name)
        return family(card, device=find_device(device), random_weights=True)
    path = checkpoints.resolve(card, checkpoint)
    if device == AUTO and not quiet and (taken := find_device(device)).type != "cpu":
        log.warning("%s runs on %s: choose another with device", card.name, taken)
    return _made(family, card, device, path, autoencoder=autoencoder)


def _made(
    family: type[Codec], card: CodecCard, device: str, path: Path | None, *, autoencoder: bool
) -> Codec:
    if path is not None and not autoencoder:
        checkpoints.refuse_autoencoder(path)
    return family(card, device=find_device(device), checkpoint=path)


def _official_names(family: type[Codec], card: CodecCard) -> str:
    """Text that names the official weights, if the family's name stands for small bundled ones."""
    names = [other.name for other in family.CARDS if not (other.weights and other.weights.bundled)]
    bundled = card.weights is not None and card.weights.bundled
    return f"; official weights: {', '.join(names)}" if bundled and names else ""


def load_recorded(
    name: Recorded,
    checkpoint: str | Path | None = None,
    device: str = AUTO,
    *,
    autoencoder: bool = False,
) -> Codec:
    """The codec of a name that comes from a file; arguments as for `load`.

    Raises:
        CodecError: no card has this name, or its weights are not on this machine yet.
    """
    family, card = _find_recorded(name)
    path = _weights_here(name, card, checkpoint)
    return _made(family, card, device, path, autoencoder=autoencoder)


def check_recorded(name: Recorded, checkpoint: str | Path | None = None) -> None:
    """Raises CodecError if `load_recorded` would refuse the name; loads nothing."""
    _weights_here(name, _find_recorded(name)[1], checkpoint)


def check_random(name: str) -> None:
    """Raises CodecError if the codec does not run on random weights; loads nothing."""
    family, card = find(name)
    if family._random_network is Codec._random_network:
        raise CodecError(f"{card.name} does not run on random weights: leave out the option")


def list_codecs() -> list[CodecCard]:
    """The cards of all codecs that can be loaded by name, in the order of their names."""
    cards = [card for family in all_families() for card in family.CARDS]
    return sorted(cards, key=lambda card: card.name)


def find_card(name: str) -> CodecCard:
    """The card that `name` stands for, with its options in its name."""
    return find(name)[1]


def find(name: str) -> tuple[type[Codec], CodecCard]:
    """The family, and `find_card`."""
    return (_find_recorded if isinstance(name, Recorded) else _find)(name)


def expand(name: str) -> list[str]:
    """Expand the stars in a name: `codebooks=*` to every number of codebooks that the codec can
    decode, `merge=*` to merge rates 1 to MERGES of all codebooks, if the codec can merge. Any other
    name gives a list of itself."""
    base, _, text = name.rpartition(":")
    parts = [part.strip() for part in text.split(",")]
    stars = {part.partition("=")[0] for part in parts if part in ("codebooks=*", "merge=*")}
    if not stars:
        return [name]
    kept = [part for part in parts if part.partition("=")[0] not in stars]
    card = find_card(":".join(filter(None, [base, ",".join(kept)])))
    counts = card.codebook_counts if "codebooks" in stars else card.codebook_counts[-1:]
    rates = range(1, MERGES + 1) if "merge" in stars and card.mergeable else (1,)
    names = []
    for count in counts:
        for rate in rates:
            options = list(kept)
            options += [f"codebooks={count}"] * (count < card.num_codebooks)
            options += [f"merge={'/'.join([str(rate)] * count)}"] * (rate > 1)
            names.append(":".join(filter(None, [base, ",".join(options)])))
    return names


def is_weights(name: str) -> bool:
    """Whether `load` takes the name as the path of a file of weights."""
    return name.partition(":")[0].endswith(_TRAINED)


def is_family(name: str, card: CodecCard) -> bool:
    """Whether `name` is that of a family, which stands for its default codec `card`."""
    return f"{name}:".startswith(f"{card.family}:") and not f"{name}:".startswith(
        f"{card.base_name}:"
    )


def name_for(family: type[Codec], card: CodecCard) -> str | None:
    """The name for which `load` gives this family with this card; None if there is none."""
    if family in all_families():
        return card.name
    module = sys.modules.get(family.__module__)
    if module is not None and family.__module__.startswith(TYPED):
        return f"{module.__file__}::{card.name}"
    return None


def _find(name: str) -> tuple[type[Codec], CodecCard]:
    name = _downloaded(name)
    with LOADING:  # a module of a user is imported once
        return _find_alone(name)


def _downloaded(name: str) -> str:
    """`hub:org/name:options` as `FILE.safetensors:options`, downloaded if it is not in the Hub's
    cache; any other name unchanged."""
    if not name.startswith(HUB):
        return name
    repository, colon, options = name.removeprefix(HUB).partition(":")
    repository, _, revision = repository.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise CodecError(
            f"{name} names no repository: expected hub:org/name or hub:org/name@revision"
        )
    weights = Weights(repository=repository, file=HUB_FILE, revision=revision or None)
    path = checkpoints.download(HUB + repository, weights, "load the file itself")
    return f"{path}{colon}{options}"


def _find_alone(name: str) -> tuple[type[Codec], CodecCard]:
    path, _, rest = name.partition("::")
    file = path if "::" in name else name.partition(":")[0]
    if is_weights(name):
        return _trained(Path(file), name)
    if file.endswith(".py"):
        families = [family_in(Path(file))]
        requested = rest if "::" in name else families[0].CARDS[0].family + name[len(file) :]
    else:
        families, requested = all_families(), name
    for family in families:
        if family.PREFIX and requested.startswith(family.PREFIX):
            base, _, options = requested.removeprefix(family.PREFIX).partition(":")
            return family, vary(family.card_named(base), options, family.OPTIONS, family.adapt)
    if (match := _among(families, requested)) is not None:
        return match
    base, _, last = requested.rpartition(":")
    if not base or "=" not in last:  # what follows the last colon is not options
        base = requested
    if "@" in base:
        raise CodecError(
            f"there is no codec {base!r}: the part after @ is the hash of a file of weights; "
            "give that file instead of the name (-t FILE.safetensors)"
        )
    cards = [card for family in families for card in family.CARDS]
    names = sorted({name for card in cards for name in (card.name, card.family)})
    close = sorted(card.name for card in cards if card.family == base)  # a family without a default
    close = close or difflib.get_close_matches(base, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known codecs: {', '.join(names)}"
    raise CodecError(f"there is no codec {base!r}: {hint}")


def _among(families: Sequence[type[Codec]], name: str) -> tuple[type[Codec], CodecCard] | None:
    """The family with a card of that name; opens, runs and downloads nothing."""
    matches = []  # with the part of the name that matched; a card's name may have a colon
    for family in families:
        default = family.DEFAULT or (family.CARDS[0].name if len(family.CARDS) == 1 else None)
        for card in family.CARDS:
            for known in (card.name, card.family) if card.name == default else (card.name,):
                if f"{name}:".startswith(f"{known}:"):
                    matches.append((known, family, card))
    if not matches:
        return None
    known, family, card = max(matches, key=lambda match: len(match[0]))
    return family, vary(card, name[len(known) + 1 :], family.OPTIONS, family.adapt)


def _find_recorded(name: Recorded) -> tuple[type[Codec], CodecCard]:
    match = _among(all_families(), str(name))
    if match is None:
        why = "which is not in `audiotok list`"
        if "@" in name:
            why += " (an @ stands before the hash of a file of weights: name that file)"
        raise CodecError(name.refusal("codec", why))
    return match


def _weights_here(name: Recorded, card: CodecCard, checkpoint: str | Path | None) -> Path | None:
    """`checkpoints.resolve` without a download."""
    try:
        return checkpoints.resolve(card, checkpoint, fetch=False)
    except checkpoints.NotFetchedError:
        raise CodecError(name.refusal("codec", "whose weights are not on this machine")) from None


def _trained(path: Path, name: str) -> tuple[type[Codec], CodecCard]:
    """Family and card of a file of weights, from its metadata; the name contains its hash."""
    metadata = checkpoints.read_metadata(path)
    family_name = metadata.get("family", "")
    for family in all_families():
        if family_name in [family.FILES, *(card.family for card in family.CARDS)]:
            try:
                card = family.card_from_metadata(metadata, checkpoints.sha256(path)[:8])
            except checkpoints.WRONG_SIZES as reason:
                raise checkpoints.no_network(path, reason) from reason
            card = card.model_copy(update={"training_data": _learned_from(metadata)})
            return family, vary(card, name.partition(":")[2], family.OPTIONS, family.adapt)
    raise CodecError(
        f"{path} does not name a family that is known here: expected a file that `audiotok train` "
        "or `audiotok convert` wrote"
    )


def _learned_from(metadata: dict[str, str]) -> tuple[str, ...]:
    """The training data named in a file of weights; () if there is none."""
    try:
        names = json.loads(metadata.get("training_data", "[]"))
    except (ValueError, RecursionError):
        return ()
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_list else ()
