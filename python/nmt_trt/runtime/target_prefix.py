"""What translations begin with, as a caller gives it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

from nmt_trt.errors import SourceError, UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import ResolvedOptions
from nmt_trt.runtime.inputs import Row, check_count, target_rows
from nmt_trt.text.pipeline import TextPipeline

Prefix = TypeVar("Prefix")


def one_prefix(target_prefix: str | Sequence[str]) -> str:
    """The prefix of one text.

    Raises:
        UsageError: several are given.
    """
    if not isinstance(target_prefix, str):
        raise UsageError(f"target_prefix must be one text, as what is translated is; given {target_prefix!r}")
    return target_prefix


def encoded_prefixes(
    target_prefix: Sequence[str] | None,
    texts: int,
    filled: Sequence[int],
    pipeline: TextPipeline,
    config: TransformerConfig,
) -> list[Row] | None:
    """The tokens of the prefixes of those of `texts` texts that are not empty, whose indices are `filled`.

    Raises:
        UsageError: not one for each text, tokens that no prefix can have, or a model that writes from the end.
    """
    if target_prefix is None:
        return None
    check_count("target_prefix", len(target_prefix), texts)
    if config.text is not None and config.text.target_tokenizer.right_to_left:
        raise UsageError("this model writes its translations from their end; give the first tokens to generate()")
    given = [target_prefix[index] for index in filled]
    return target_rows("target_prefix", [pipeline.encode_target(one) if one.strip() else [] for one in given], config)


class PrefixLines(Generic[Prefix]):
    """The prefixes of lines that are translated a window at a time."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self._rest: Iterator[Prefix] = iter(prefixes)
        self._first = -1
        self._window: list[Prefix] = []

    def of(self, first: int, count: int) -> list[Prefix]:
        """Those of `count` lines, `first` lines having come before; of the same window again, if asked again.

        Raises:
            UsageError: there are fewer.
        """
        if first != self._first:
            self._first, self._window = first, list(islice(self._rest, count))
        if len(self._window) < count:
            given = first + len(self._window)
            raise UsageError(f"target_prefix must have one for each line; it ends after {given:,}, the lines go on")
        return self._window[:count]

    def expect_end(self) -> None:
        """Raise UsageError if there are more than lines."""
        if next(self._rest, None) is not None:
            raise UsageError("target_prefix must have one for each line; it goes on, the lines have ended")


def check_prefixes(prefixes: Sequence[Row], rows: Sequence[Row], options: ResolvedOptions) -> None:
    """Check that each source has a prefix that its length limit and the policy admit.

    Raises:
        SourceError: one that is too long.
        UsageError: not one for each source, or a policy without prefixes.
    """
    if options.policy == "nemo":
        raise UsageError("target_prefix: of the policies 'gnmt', 'hf' and 'sample'; given policy 'nemo'")
    check_count("target_prefix", len(prefixes), len(rows))
    for index, (prefix, row) in enumerate(zip(prefixes, rows, strict=True)):
        if prefix.size > (limit := options.length_limit(row.size)):
            problem = f"has {prefix.size} tokens; its translation may have {limit}"
            raise SourceError(index, problem, name="target_prefix")
