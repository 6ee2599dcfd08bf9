"""The demo's texts: hand-written sentences from data/, and variations on sentence patterns to calibrate with.

Calibration wants many words in many surroundings; which of them occur matters more than elegance. The held-out
sentences are all written by hand and none of them occurs among the calibration sentences.
"""

from __future__ import annotations

import random
from pathlib import Path

DATA = Path(__file__).parent / "data"


def read_lines(name: str) -> list[str]:
    return [line.strip() for line in (DATA / name).read_text(encoding="utf-8").splitlines() if line.strip()]


def held_out_sentences() -> list[str]:
    return read_lines("heldout.txt")


def calibration_sentences(patterned: int = 1500, seed: int = 7) -> list[str]:
    """The hand-written calibration sentences, followed by `patterned` generated ones."""
    written = read_lines("calibration.txt")
    return written + _vary_patterns(patterned, seed, set(written) | set(held_out_sentences()))


def _vary_patterns(count: int, seed: int, taken: set[str]) -> list[str]:
    rng = random.Random(seed)
    words = _read_word_lists()
    patterns = read_lines("patterns.txt")
    sentences: list[str] = []
    while len(sentences) < count:
        sentence = _fill(patterns[len(sentences) % len(patterns)], words, rng)
        if sentence not in taken:
            taken.add(sentence)
            sentences.append(sentence)
    return sentences


def _read_word_lists() -> dict[str, list[str]]:
    """words.txt: `kind: one, another, ...`; a kind may go on over several lines of that form."""
    lists: dict[str, list[str]] = {}
    for line in read_lines("words.txt"):
        kind, _, entries = line.partition(":")
        lists.setdefault(kind, []).extend(entry.strip() for entry in entries.split(","))
    return lists


def _fill(pattern: str, words: dict[str, list[str]], rng: random.Random) -> str:
    """Replaces every {kind} by a random entry of that kind, without repeating one within the sentence."""
    used: set[str] = set()
    pieces = pattern.split("{")
    text = pieces[0]
    for piece in pieces[1:]:
        kind, _, rest = piece.partition("}")
        choice = rng.choice([entry for entry in words[kind] if entry not in used])
        used.add(choice)
        text += choice + rest
    return text[0].upper() + text[1:]
