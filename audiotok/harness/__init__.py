"""From a plan to a result: what `audiotok.bench` does, step by step."""

from audiotok._moved import names_of

__getattr__ = names_of(__name__, "harness")
