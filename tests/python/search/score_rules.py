"""The options that change scores of next tokens, from their definitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.cases import Case
from search.toy_model import Tokens

Scores = NDArray[np.float64]


def changed_scores(case: Case, generated: Tokens, log_probs: Scores, max_length: int) -> Scores:
    """float64 [V]: what the case's options make of the log-probabilities behind `generated`."""
    options, seen = case.scores, (case.bos, *generated)
    scores = log_probs.copy()
    if (penalty := options.get("repetition_penalty")) is not None:
        scores[list(set(seen))] *= penalty  # log-probabilities are negative
    scores[list(banned(case, generated))] = -np.inf
    if "forced_bos" in options and not generated:
        scores = only(options["forced_bos"], len(scores))
    if "forced_eos" in options and len(generated) == max_length - 1:
        scores = only(options["forced_eos"], len(scores))
    scores[options.get("suppress_tokens", [])] = -np.inf
    if "allowed_tokens" in options:
        kept = [*options["allowed_tokens"], case.eos]
        scores[np.setdiff1d(np.arange(len(scores)), kept)] = -np.inf
    return scores


def banned(case: Case, generated: Tokens) -> set[int]:
    """Tokens that would repeat an n-gram, complete a bad word, or end too early."""
    options, seen = case.scores, (case.bos, *generated)
    found = set()
    if (size := options.get("no_repeat_ngram")) is not None:
        ngrams = {seen[first : first + size] for first in range(len(seen) - size + 1)}
        found |= {token for token in range(case.model.vocab_size) if (*seen, token)[-size:] in ngrams}
    for word in options.get("bad_words", []):
        if word != [case.eos] and (*seen, word[-1])[-len(word) :] == tuple(word):
            found.add(word[-1])
    if len(generated) < options.get("min_length", 0):
        found.add(case.eos)
    return found


def only(token: int, vocab_size: int) -> Scores:
    """float64 [V] that leave one token."""
    scores = np.full(vocab_size, -np.inf)
    scores[token] = 0
    return scores
