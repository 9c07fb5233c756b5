"""Translates or generates from an input of any length in bounded memory, one window at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeVar, Unpack

from nmt_trt.errors import LineError, SourceError, UsageError
from nmt_trt.options import GenerationKeywords, make_options
from nmt_trt.results import Hypothesis, Timings
from nmt_trt.runtime.documents import DocumentTranslator
from nmt_trt.runtime.target_prefix import PrefixLines

if TYPE_CHECKING:
    from nmt_trt.runtime.batch_search import Progress
    from nmt_trt.runtime.model import Model

DEFAULT_WINDOW = 2048
WINDOW_SIZE = 1 << 20
"""A window ends, however few its items, when they add up to this many characters or token ids."""

Item = TypeVar("Item", str, Sequence[int])
Answer = TypeVar("Answer")
Run = Callable[[Sequence[Item], int], list[Answer]]
"""What answers the items of a window, given how many came before it."""
Generated = tuple[Sequence[int], list[Hypothesis]]
"""Source ids and their hypotheses, best first."""


@dataclass(frozen=True)
class Translation:
    """A source and its translations.

    Attributes:
        source: the text as it was given.
        hypotheses: (text, hypothesis) pairs, best first; one of no tokens for an empty source.
    """

    source: str
    hypotheses: list[tuple[str, Hypothesis]]

    @property
    def text(self) -> str:
        """The best translation."""
        return self.hypotheses[0][0]


def translate_stream(
    model: Model,
    lines: Iterable[str],
    *,
    window: int = DEFAULT_WINDOW,
    target_prefix: Iterable[str] | None = None,
    timings: Timings | None = None,
    progress: Progress | None = None,
    **options: Unpack[GenerationKeywords],
) -> Iterator[Translation]:
    """Translate lines lazily and in order, holding no more than one window of them.

    Args:
        model: what translates.
        lines: sources; an empty one stays empty.
        window: lines translated together, sorted by length among themselves. More is faster; fewer come sooner.
        target_prefix: what the translation of each line begins with, read as the lines are.
        timings: where the time of each stage is added.
        progress: see Model.generate.
        **options: see GenerationOptions.

    Raises:
        UsageError: an option that cannot be used, a model without tokenizer, or more or fewer prefixes than lines.
        LineError: a line that cannot be translated, once everything before it has been yielded.
    """
    return chain.from_iterable(
        translate_windows(
            model,
            lines,
            window=window,
            target_prefix=target_prefix,
            timings=timings,
            progress=progress,
            **options,
        )
    )


def translate_windows(
    model: Model,
    lines: Iterable[str],
    *,
    window: int = DEFAULT_WINDOW,
    target_prefix: Iterable[str] | None = None,
    timings: Timings | None = None,
    progress: Progress | None = None,
    **options: Unpack[GenerationKeywords],
) -> Iterator[list[Translation]]:
    """`translate_stream` with what is translated together kept together, for writers that flush after each window."""
    if model.config.text is None:
        raise UsageError(f"{model.directory}: this model has no tokenizer; it can only generate from ids")

    for name, given in (("lines", lines), ("target_prefix", target_prefix)):
        if isinstance(given, str):
            raise UsageError(f"{name} must be a list or an iterator of texts; given one text")
    prefixes = None if target_prefix is None else PrefixLines(target_prefix)

    def translate(window_lines: Sequence[str], first: int) -> list[Translation]:
        forced = None if prefixes is None else prefixes.of(first, len(window_lines))
        hypotheses, spent = model.translate_hypotheses(
            window_lines, target_prefix=forced, first_number=first, progress=progress, **options
        )
        _add(timings, spent)
        return [Translation(source, found) for source, found in zip(window_lines, hypotheses, strict=True)]

    windows = _run(model, lines, window, translate, options)
    return windows if prefixes is None else _followed(windows, prefixes.expect_end)


def document_windows(
    model: Model,
    lines: Iterable[str],
    *,
    window: int = DEFAULT_WINDOW,
    timings: Timings | None = None,
    progress: Progress | None = None,
    **options: Unpack[GenerationKeywords],
) -> Iterator[list[str]]:
    """`Model.translate_document` on a document of any length: its lines, their ends included, a window at a time.

    Raises:
        UsageError: an option that cannot be used, or a model without tokenizer.
        MissingDependencyError: the extra `documents` is not installed.
        LineError: a line with a sentence that cannot be translated, once everything before it has been yielded.
    """
    translator = DocumentTranslator(model)

    def translate(window_lines: Sequence[str], _: int) -> list[str]:
        translated, spent = translator.translate(window_lines, progress=progress, **options)
        _add(timings, spent)
        return translated

    return _run(model, lines, window, translate, options)


def generate_windows(
    model: Model,
    rows: Iterable[Sequence[int]],
    *,
    window: int = DEFAULT_WINDOW,
    target_prefix: Iterable[Sequence[int]] | None = None,
    timings: Timings | None = None,
    progress: Progress | None = None,
    **options: Unpack[GenerationKeywords],
) -> Iterator[list[Generated]]:
    """`Model.generate` on an input of any length, in order, a window at a time.

    Raises:
        UsageError: an option that cannot be used, or more or fewer prefixes than rows.
        LineError: a row that is not an encoder input, once everything before it has been yielded.
    """

    prefixes = None if target_prefix is None else PrefixLines(target_prefix)

    def generate(window_rows: Sequence[Sequence[int]], first: int) -> list[Generated]:
        forced = None if prefixes is None else prefixes.of(first, len(window_rows))
        result = model.generate(
            list(window_rows), target_prefix=forced, first_number=first, progress=progress, **options
        )
        _add(timings, result.timings)
        return list(zip(window_rows, result.hypotheses, strict=True))

    windows = _run(model, rows, window, generate, options)
    return windows if prefixes is None else _followed(windows, prefixes.expect_end)


def _run(
    model: Model,
    items: Iterable[Item],
    window: int,
    run: Run[Item, Answer],
    options: GenerationKeywords,
) -> Iterator[list[Answer]]:
    if window < 1:
        raise UsageError(f"window must be at least 1; given {window}")
    make_options(**options).resolve(model.config)
    return _answers(items, window, run)


def _followed(windows: Iterator[list[Answer]], check: Callable[[], None]) -> Iterator[list[Answer]]:
    yield from windows
    check()


def _answers(items: Iterable[Item], window: int, run: Run[Item, Answer]) -> Iterator[list[Answer]]:
    done = 0
    for gathered in _windows(items, window):
        yield from _answered(gathered, done, run)
        done += len(gathered)
        del gathered  # or two windows would be held while the next is read


def _windows(items: Iterable[Item], window: int) -> Iterator[list[Item]]:
    """The items in lists of at most `window`; those that came before an error are yielded before it is raised."""
    source = iter(items)
    failure: Exception | None = None
    ended = False
    while not ended:
        gathered: list[Item] = []
        size = 0
        while len(gathered) < window and size < WINDOW_SIZE:
            try:
                item = next(source)
            except StopIteration:
                ended = True
                break
            except Exception as error:
                failure, ended = error, True
                break
            gathered.append(item)
            size += len(item) if isinstance(item, Sized) else 1  # what is none will be refused
        if gathered:
            yield gathered
    if failure is not None:
        raise failure


def _answered(items: Sequence[Item], done: int, run: Run[Item, Answer]) -> Iterator[list[Answer]]:
    """run(items, done), or, when one of them is refused, what comes before it and then an error that says which it was.

    What had been searched before one was refused is searched again, and progress is told of it again.
    """
    try:
        answers = run(items, done)
    except SourceError as error:
        if error.index:
            yield from _answered(items[: error.index], done, run)
        problem = f"target_prefix {error.problem}" if error.name == "target_prefix" else error.problem
        raise LineError(1 + done + error.index, problem) from error
    yield answers


def _add(total: Timings | None, spent: Timings) -> None:
    if total is not None:
        total.add(spent)
