"""Options that change the scores of next tokens: what a translation must, may and may not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nmt_trt.errors import UsageError
from nmt_trt.option_checks import LEAST_FACTOR, as_tokens, check_range

MAX_REPETITION_PENALTY = 100
MAX_NGRAM = 2**31 - 1
NO_TOKEN = -1
LEFT_ALONE: Mapping[str, Any] = {
    "min_length": 0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram": 0,
    "forced_bos": NO_TOKEN,
    "forced_eos": NO_TOKEN,
    "bad_words": (),
    "suppress_tokens": (),
    "allowed_tokens": (),
}
"""The value of each option with which it does nothing."""


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Options of the policies gnmt, hf and sample; each costs nothing when it is left alone.

    `None` takes the default of the model: with policy hf what the checkpoint was published with, otherwise nothing.

    They work as transformers' logits processors do, whose names docs/policy-hf.md gives: on log-probabilities, which
    are not normalised again, and with policy sample, or hf and a `beam_size` of 1, on logits. The start token counts
    as seen.

    Attributes:
        min_length: fewest generated tokens before EOS, 0 or more.
        repetition_penalty: what the score of a token that was seen before is multiplied with if it is negative, and
            divided by otherwise; from 1e-6 to 100, 1 for none.
        no_repeat_ngram: length of n-grams that no translation holds twice; 0 for none.
        forced_bos: the first generated token; -1 for none.
        forced_eos: the last token of a translation that comes to its length limit; -1 for none.
        bad_words: sequences of tokens that no translation holds; EOS by itself is ignored.
        suppress_tokens: tokens that no translation holds.
        allowed_tokens: the only tokens, besides EOS, that a translation holds: a vocabulary shortlist; empty for all.
    """

    min_length: int | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram: int | None = None
    forced_bos: int | None = None
    forced_eos: int | None = None
    bad_words: Sequence[Sequence[int]] | None = None
    suppress_tokens: Sequence[int] | None = None
    allowed_tokens: Sequence[int] | None = None

    def __post_init__(self) -> None:
        check_range("min_length", self.min_length, 0, None)
        check_range("no_repeat_ngram", self.no_repeat_ngram, 0, MAX_NGRAM)
        check_range("repetition_penalty", self.repetition_penalty, LEAST_FACTOR, MAX_REPETITION_PENALTY, whole=False)
        check_range("forced_bos", self.forced_bos, NO_TOKEN, None)
        check_range("forced_eos", self.forced_eos, NO_TOKEN, None)
        if self.bad_words is not None:
            object.__setattr__(self, "bad_words", _as_words(self.bad_words))
        for name in ("suppress_tokens", "allowed_tokens"):
            if (tokens := getattr(self, name)) is not None:
                object.__setattr__(self, name, as_tokens(name, tokens))
        for name in ("forced_bos", "forced_eos"):
            if getattr(self, name) in (self.suppress_tokens or ()):
                raise UsageError(f"{name} {getattr(self, name)} is among the suppress_tokens")

    def score_keywords(self) -> dict[str, Any]:
        """Those of these options that are not open, by name, as BeamSearch takes them."""
        return {name: value for name in LEFT_ALONE if (value := getattr(self, name)) is not None}

    def changed_scores(self) -> list[str]:
        """The names of those that are given and do something."""
        return [name for name, nothing in LEFT_ALONE.items() if getattr(self, name) not in (None, nothing)]

    def filled_scores(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """These options by name, those that were left open taken from `defaults`."""
        return {**{name: defaults[name] for name in LEFT_ALONE}, **self.score_keywords()}

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raise UsageError when a token is outside the target vocabulary."""
        for name, token in self._named_tokens():
            if token >= vocab_size:
                raise UsageError(f"{name} holds token {token}; the target vocabulary ends at {vocab_size - 1}")

    def _named_tokens(self) -> Iterator[tuple[str, int]]:
        for name in ("forced_bos", "forced_eos"):
            if (token := getattr(self, name)) is not None:
                yield name, token
        for index, word in enumerate(self.bad_words or ()):
            yield from ((f"bad_words[{index}]", token) for token in word)
        for name in ("suppress_tokens", "allowed_tokens"):
            yield from ((name, token) for token in getattr(self, name) or ())


def _as_words(given: Any) -> tuple[tuple[int, ...], ...]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise UsageError(f"bad_words must be a list of lists of token ids; given {given!r}")
    words = tuple(as_tokens(f"bad_words[{index}]", word) for index, word in enumerate(given))
    if () in words:
        raise UsageError(f"bad_words[{words.index(())}] must hold one token or more")
    return words
