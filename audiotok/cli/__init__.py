"""The command line: one file per group of verbs."""

from audiotok.cli.commands import app, main

__all__ = ["app", "main"]
