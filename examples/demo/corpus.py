"""The demo's texts: hand-written sentences from data/, and two kinds of generated ones to calibrate with.

Calibration wants many words in many surroundings; variety matters more than sense. So there are variations on sentence
patterns, and copies of the hand-written sentences in which words are replaced by random ones of the model's vocabulary.
The held-out sentences are all written by hand and none of them occurs among the calibration sentences.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Sequence

DATA = Path(__file__).parent / "data"
REPLACED_SHARE = 0.6


def read_lines(name: str) -> list[str]:
    return [line.strip() for line in (DATA / name).read_text(encoding="utf-8").splitlines() if line.strip()]


def held_out_sentences() -> list[str]:
    return read_lines("heldout.txt")


def calibration_sentences(vocabulary: Sequence[str], patterned: int = 700, seed: int = 7) -> list[str]:
    """The hand-written calibration sentences, as many with replaced words, and `patterned` from patterns, mixed."""
    written = read_lines("calibration.txt")
    held_out = set(held_out_sentences())
    rng = random.Random(seed)
    replaced = [_replace_words(sentence, vocabulary, rng) for sentence in written]
    generated = _vary_patterns(patterned, rng, set(written) | held_out)
    sentences = list(dict.fromkeys(written + replaced + generated))
    rng.shuffle(sentences)
    return [sentence for sentence in sentences if sentence not in held_out]


def _replace_words(sentence: str, vocabulary: Sequence[str], rng: random.Random) -> str:
    """Replaces about REPLACED_SHARE of the words that have at least three letters."""

    def choose(match: re.Match[str]) -> str:
        return rng.choice(vocabulary) if rng.random() < REPLACED_SHARE else match.group()

    return re.sub(r"\b[A-Za-z]{3,}\b", choose, sentence)


def _vary_patterns(count: int, rng: random.Random, taken: set[str]) -> list[str]:
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
