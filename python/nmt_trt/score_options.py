"""Options that change the scores of next tokens: what a translation must, may and may not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from nmt_trt.errors import UsageError
from nmt_trt.option_checks import as_tokens, check_range

MAX_REPETITION_PENALTY = 100


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Options of the policies gnmt and hf; each costs nothing when it is left alone.

    They work as transformers' logits processors do, whose names docs/policy-hf.md gives: on log-probabilities, which
    are not normalised again, and with policy hf and a `beam_size` of 1 on logits. The start token counts as seen.

    Attributes:
        min_length: fewest generated tokens before EOS, 0 or more.
        repetition_penalty: what the score of a token that was seen before is multiplied with if it is negative, and
            divided by otherwise; above 0, at most 100, 1 for none.
        no_repeat_ngram: length of n-grams that no translation holds twice; 0 for none.
        forced_bos: the first generated token.
        forced_eos: the last token of a translation that comes to its length limit.
        bad_words: sequences of tokens that no translation holds; EOS by itself is ignored.
        suppress_tokens: tokens that no translation holds.
    """

    min_length: int = 0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    forced_bos: int | None = None
    forced_eos: int | None = None
    bad_words: Sequence[Sequence[int]] = ()
    suppress_tokens: Sequence[int] = ()

    def __post_init__(self) -> None:
        for name in ("min_length", "repetition_penalty", "no_repeat_ngram"):
            if getattr(self, name) is None:
                raise UsageError(f"{name} must be a number; given None")
        check_range("min_length", self.min_length, 0, None)
        check_range("no_repeat_ngram", self.no_repeat_ngram, 0, None)
        check_range("repetition_penalty", self.repetition_penalty, 0, MAX_REPETITION_PENALTY, whole=False)
        if self.repetition_penalty == 0:
            raise UsageError("repetition_penalty must be above 0; given 0")
        check_range("forced_bos", self.forced_bos, 0, None)
        check_range("forced_eos", self.forced_eos, 0, None)
        if isinstance(self.bad_words, (str, bytes)) or not isinstance(self.bad_words, Iterable):
            raise UsageError(f"bad_words must be a list of lists of token ids; given {self.bad_words!r}")
        words = tuple(as_tokens(f"bad_words[{index}]", word) for index, word in enumerate(self.bad_words))
        if () in words:
            raise UsageError(f"bad_words[{words.index(())}] must hold one token or more")
        object.__setattr__(self, "bad_words", words)
        object.__setattr__(self, "suppress_tokens", as_tokens("suppress_tokens", self.suppress_tokens))
        for name in ("forced_bos", "forced_eos"):
            if getattr(self, name) in self.suppress_tokens:
                raise UsageError(f"{name} {getattr(self, name)} is among the suppress_tokens")

    def score_keywords(self) -> dict[str, Any]:
        """These options by name, as BeamSearch takes them."""
        return {field.name: getattr(self, field.name) for field in fields(ScoreOptions)}

    def changed_scores(self) -> list[str]:
        """The names of those that are not left alone."""
        return [field.name for field in fields(ScoreOptions) if getattr(self, field.name) != field.default]

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raise UsageError when a token is outside the target vocabulary."""
        for name, token in self._named_tokens():
            if token >= vocab_size:
                raise UsageError(f"{name} holds token {token}; the target vocabulary ends at {vocab_size - 1}")

    def _named_tokens(self) -> Iterator[tuple[str, int]]:
        for name in ("forced_bos", "forced_eos"):
            if (token := getattr(self, name)) is not None:
                yield name, token
        for index, word in enumerate(self.bad_words):
            yield from ((f"bad_words[{index}]", token) for token in word)
        yield from (("suppress_tokens", token) for token in self.suppress_tokens)
