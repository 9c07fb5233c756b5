"""What people see: progress on stderr while it is a terminal, tables of times."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from nmt_trt.results import Timings

Advance = Callable[[int], None]


class Tables(Console):
    """Standard output, for tables. That nobody reads it any more is the command's business: rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Within rich's handling of a BrokenPipeError."""
        raise


def can_show_progress(*, quiet: bool) -> bool:
    """Whether somebody may be looking at stderr."""
    return not quiet and sys.stderr.isatty()


@contextmanager
def working(what: str, *, quiet: bool) -> Iterator[None]:
    """A spinner and a clock while the block runs."""
    with _progress(TextColumn("{task.description}"), quiet=quiet) as progress:
        progress.add_task(what, total=None)
        yield


@contextmanager
def counting(what: str, total: int | None, *, quiet: bool) -> Iterator[Advance]:
    """A bar that counts up to `total`, where that is known; the block gets the function that advances it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with _progress(*columns, quiet=quiet) as progress:
        task = progress.add_task(what, total=total)

        def advance(count: int) -> None:
            progress.advance(task, count)

        yield advance


def _progress(*columns: BarColumn | MofNCompleteColumn | TextColumn, quiet: bool) -> Progress:
    return Progress(
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not can_show_progress(quiet=quiet),
    )


def notice(message: str, *, quiet: bool) -> None:
    """One line for whoever looks at stderr."""
    if can_show_progress(quiet=quiet):
        Console(stderr=True).print(message, style="dim", markup=False, highlight=False)


def print_timings(
    console: Console, timings: Timings, count: int, *, unit: str = "sentences", elapsed: float | None = None
) -> None:
    """A table of the seconds and the share of each stage, and how many sentences, or lines, a second.

    `elapsed`: the seconds that passed, where stages of several batches overlapped and add up to more.
    """
    total = timings.total
    table = Table("stage")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    for stage, seconds in stage_seconds(timings).items():
        table.add_row(stage, f"{seconds:.3f}", f"{seconds / total:.0%}" if total else "-")
    table.add_section()
    table.add_row("total", f"{total:.3f}", "")
    if elapsed is not None:
        table.add_row("elapsed", f"{elapsed:.3f}", "")
    console.print(table)
    seconds = total if elapsed is None else elapsed
    rate = f"{count / seconds:,.1f}" if seconds else "-"
    console.print(f"{count:,} {unit}, {rate} {unit}/s", highlight=False)


def stage_seconds(timings: Timings) -> dict[str, float]:
    """The stages in the order in which they run."""
    return {
        "preprocess": timings.preprocess,
        "encoder": timings.encoder,
        "generator": timings.generator,
        "postprocess": timings.postprocess,
    }
