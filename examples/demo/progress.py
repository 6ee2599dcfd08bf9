"""Progress of long steps on stderr: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time

_WIDTH = 30
_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_REDRAWS = 0.1


class Progress:
    """Use as a context manager; `step` counts finished work, `within` shows a part of the current step."""

    def __init__(self, title: str, total: float):
        self._title = title
        self._total = max(total, 1e-9)
        self._done = 0.0
        self._terminal = sys.stderr.isatty()
        self._started = time.perf_counter()
        self._shown = self._started

    def __enter__(self) -> Progress:
        self._show("")
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self._done = self._total
            self._show(f"done in {time.perf_counter() - self._started:.1f} s")
        if self._terminal:
            sys.stderr.write("\n")

    def step(self, amount: float, note: str = "") -> None:
        """`amount` more of the total is finished."""
        self._done += amount
        self._show_if_due(self._done, note)

    def within(self, amount: float, note: str = "") -> None:
        """`amount` beyond the finished steps is done; a later call replaces it."""
        self._show_if_due(self._done + amount, note)

    def _show_if_due(self, done: float, note: str) -> None:
        pause = _SECONDS_BETWEEN_REDRAWS if self._terminal else _SECONDS_BETWEEN_LINES
        if time.perf_counter() - self._shown >= pause:
            self._show(note, done)

    def _show(self, note: str, done: float | None = None) -> None:
        self._shown = time.perf_counter()
        share = min((self._done if done is None else done) / self._total, 1.0)
        if self._terminal:
            filled = int(share * _WIDTH)
            bar = "#" * filled + "." * (_WIDTH - filled)
            sys.stderr.write(f"\r{self._title} [{bar}] {share:4.0%} {note:40.40}")
        else:
            sys.stderr.write(f"{self._title}: {share:.0%} {note}".rstrip() + "\n")
        sys.stderr.flush()
