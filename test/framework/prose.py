"""Honest text for contributions, as much as one likes: other words in another order for each seed, no page like another.

Its words are the genesis corpus's, so a model that the corpus values learns from it; their order is chance, so it
resembles nothing that is registered.
"""

import functools
import os
import random

from reference.document import SOURCE

SENTENCE = (4, 14)  # words


@functools.lru_cache
def words():
    with open(os.path.join(SOURCE, "data", "genesis.txt"), "rb") as file:
        return [word for word in file.read()[:40000].split() if word.isalpha()]


def prose(seed, size):
    """The same bytes for the same seed and size, which is the start of what a larger size gives."""
    chance, text, column = random.Random(f"prose {seed}"), bytearray(), 0
    while len(text) < size:
        sentence = b" ".join(chance.choices(words(), k=chance.randint(*SENTENCE))).capitalize() + b"."
        column += len(sentence) + 1
        text += sentence + (b"\n" if column > 70 else b" ")
        column = 0 if column > 70 else column
    return bytes(text[:size])
