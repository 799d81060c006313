"""Process-wide settings that several threads change at the same time.

Flags of PyTorch and levels of loggers are shared by all threads. If each thread saved and restored
them on its own, the last one to end would restore the value that another thread had set.
"""

from __future__ import annotations

import logging
import threading


class SharedSettings:
    """A context manager for any number of threads, re-entrant.

    Args:
        settings: (owner, name of its attribute, value). The first thread that enters sets the
            values; the last that leaves restores the previous ones. Values that other code set in
            the meantime are kept.
    """

    def __init__(self, *settings: tuple[object, str, object]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._inside = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            try:
                for index, (owner, name, value) in enumerate(self._settings):
                    before = getattr(owner, name)
                    if before != value:
                        self._before[index] = before
                        setattr(owner, name, value)
            except BaseException:
                self._leave()
                raise

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        if self._inside:
            return
        for index, before in self._before.items():
            owner, name, value = self._settings[index]
            if getattr(owner, name) == value:
                setattr(owner, name, before)
        self._before.clear()


class Level:
    """The level of a logger as an attribute, `SharedSettings(Level.of("name", logging.ERROR))`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    @classmethod
    def of(cls, name: str, level: int) -> tuple[Level, str, int]:
        return cls(logging.getLogger(name)), "level", level

    @property
    def level(self) -> int:
        return self._logger.level

    @level.setter
    def level(self, level: int) -> None:
        self._logger.setLevel(level)
