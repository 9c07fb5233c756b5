"""Puts words of the source where a translation has unknown tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt


def replace_unknowns(
    tokens: Sequence[int],
    unknown: int,
    attention: npt.NDArray[np.float32],
    words: Sequence[tuple[str, int]],
) -> list[int | str]:
    """The tokens, each unknown one replaced by the source word that it attends to most.

    Special tokens of the source are of no word and replace nothing. Unknown tokens that follow each other and attend
    to the same word give it once. Where the source has no words, the tokens stay as they are.

    Args:
        tokens: a translation.
        unknown: which of them is unknown.
        attention: [tokens or more, source], of each token to the source.
        words: of the source, each with the number of its tokens, which add up to those of the source; "" for tokens
            that are of no word.
    """
    places = np.array(list(chain.from_iterable([index] * count for index, (_, count) in enumerate(words))))
    of_words = np.array([bool(words[index][0]) for index in places])
    if not of_words.any():
        return list(tokens)
    replaced: list[int | str] = []
    last = None
    for token, row in zip(tokens, attention, strict=False):
        if token != unknown:
            replaced.append(token)
            last = None
            continue
        word = int(places[np.where(of_words, row, -1).argmax()])
        if word != last:
            replaced.append(words[word][0])
        last = word
    return replaced
