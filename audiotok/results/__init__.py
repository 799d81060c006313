"""Results on disk, their statistics, comparison and ranking."""

from audiotok._moved import names_of

__getattr__ = names_of(__name__, "results")
