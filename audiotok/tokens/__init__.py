"""Codes of a clip, and what is known of them alone: files, patterns, entropy."""

import importlib

from audiotok._moved import names_of

__all__ = ["Tokens"]

_OLD = names_of(__name__, "tokens")


def __getattr__(name: str):
    if name == "Tokens":  # when it is first used: the statistics of codes need no torch
        return importlib.import_module("audiotok.tokens.tokens").Tokens
    return _OLD(name)
