"""Lines in, answers out: what `translate` and `generate` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from rich.console import Console

from nmt_trt.cli.console import counting, notice, print_timings
from nmt_trt.cli.files import open_input, open_output, read_lines
from nmt_trt.cli.options import RuntimeFlags, SearchFlags, StreamFlags
from nmt_trt.cli.session import open_model
from nmt_trt.errors import UsageError
from nmt_trt.results import Timings

Answer = TypeVar("Answer")


def answer_stream(
    model_dir: Path | None,
    flags: StreamFlags,
    search: SearchFlags,
    runtime: RuntimeFlags,
    *,
    windows: Callable[..., Iterator[list[Answer]]],
    render: Callable[[Answer], str],
    several: bool,
    keep_ends: bool = False,
    text_workers: int = 0,
) -> None:
    """Open model, input and output, and write one line an answer.

    Args:
        model_dir, flags, search, runtime: what the user asked for.
        windows: translate_windows, or a function with its parameters.
        render: an answer as one line.
        several: whether that line has room for more than the best hypothesis.
        keep_ends: whether lines come and go with their ends.
        text_workers: see Model.

    Raises:
        UsageError: several hypotheses, scores of tokens or attention were asked for where there is no room, or an
            option cannot be used.
        LineError: a line cannot be used; everything before it has been written.
    """
    if flags.num_hypotheses > 1 and not several:
        raise UsageError(f"--num-hypotheses above 1 {_no_room(keep_ends)} them")
    if flags.token_scores and not several:
        raise UsageError(f"--token-scores {_no_room(keep_ends)} them")
    if flags.attention and not several:
        raise UsageError(f"--attention {_no_room(keep_ends)} it")
    options = search.keywords(
        num_hypotheses=flags.num_hypotheses, token_scores=flags.token_scores, attention=flags.attention
    )
    spent = Timings()
    with open_input(flags.input_file) as source, open_output(flags.output_file) as sink:
        model = open_model(model_dir, options, runtime, text_workers=text_workers)
        interactive = source.isatty()
        if interactive:
            notice("type a line and press Enter; Ctrl-D ends", quiet=runtime.quiet)
        started = time.perf_counter()
        with counting("sentences", None, quiet=runtime.quiet or interactive or sink.isatty()) as advance:
            answers = windows(
                model,
                read_lines(source, keep_ends=keep_ends),
                window=1 if interactive else flags.window,
                timings=spent,
                progress=advance,
                **options,
            )
            count = _write(answers, render, sink, end="" if keep_ends else "\n")
    if flags.timings:
        elapsed = time.perf_counter() - started if runtime.batches_in_flight > 1 else None
        unit = "lines" if keep_ends else "sentences"
        print_timings(Console(stderr=True), spent, count, unit=unit, elapsed=elapsed)


def _write(windows: Iterator[list[Answer]], render: Callable[[Answer], str], sink: BinaryIO, *, end: str) -> int:
    """Write one line an answer, flushing after each window; returns their number."""
    count = 0
    for window in windows:
        sink.write("".join(render(answer) + end for answer in window).encode())
        sink.flush()
        count += len(window)
    return count


def _no_room(document: bool) -> str:
    return "contradicts --document, which has no room for" if document else "needs --json, which has room for"
