"""Imports the consoles before any test changes the width of the terminal, which they read once."""

import audiotok.cli.show  # noqa: F401
