"""Numbers on disk, and what they mean."""

from audiotok._moved import names_of

__getattr__ = names_of(__name__, "results")
