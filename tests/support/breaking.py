"""How a codec is made that breaks a promise: what its class has instead of a right part."""

from support.stranger_codec import Stranger

CARD = Stranger.CARDS[0]
good_encode, good_decode = Stranger._encode, Stranger._decode


def before_encoding(action):
    """An `_encode` that does something else first."""

    def encode(self, waveform):
        changed = action(self, waveform)
        return good_encode(self, waveform if changed is None else changed)

    return {"_encode": encode}


def card(**changes):
    """Another card under the same name."""
    changed = CARD.model_copy(update=changes)
    return {"CARDS": (changed,)}
