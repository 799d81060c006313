"""Codes of a clip, and what is known of them alone: files, patterns, entropy."""

import importlib

__all__ = ["Tokens"]


def __getattr__(name: str):
    if name == "Tokens":  # when it is first used: the statistics of codes need no torch
        return importlib.import_module("audiotok.tokens.tokens").Tokens
    raise AttributeError(f"module 'audiotok.tokens' has no attribute {name!r}")
