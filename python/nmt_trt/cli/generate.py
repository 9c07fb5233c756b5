"""`nmt-trt generate`: token ids in, token ids out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from nmt_trt.cli.answers import generation_json, generation_text
from nmt_trt.cli.files import lines_beside
from nmt_trt.cli.options import ModelDirectory, RuntimeFlags, SearchFlags, StreamFlags
from nmt_trt.cli.streaming import answer_stream
from nmt_trt.errors import Error, LineError
from nmt_trt.runtime.stream import generate_windows

AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Read a JSON list a line; write a JSON object a line: source, tokens, and hypotheses with tokens, score "
        "and log_prob.",
    ),
]
TargetPrefix = Annotated[
    Path | None,
    typer.Option(
        "--target-prefix",
        metavar="FILE",
        help="Line N of FILE, which may hold no ids, is what line N of the output begins with.",
        rich_help_panel="Search",
    ),
]
_SHOWN = 40


def generate(
    model_dir: ModelDirectory = None,
    as_json: AsJson = False,
    target_prefix: TargetPrefix = None,
    *,
    stream: StreamFlags,
    search: SearchFlags,
    runtime: RuntimeFlags,
) -> None:
    """Generate from token ids, one sentence a line: integers separated by spaces.

    A line is exactly the encoder's input, special tokens included. The output has no start, end and padding tokens.

    Example: echo "2 187 52 9 3" | nmt-trt generate my_model/
    """
    parse = _json_ids if as_json else _spaced_ids

    with lines_beside(target_prefix) as lines:
        prefixes = None if target_prefix is None or lines is None else _of_file(_parsed(lines, parse), target_prefix)
        answer_stream(
            model_dir,
            stream,
            search,
            runtime,
            windows=lambda model, rows, **keywords: generate_windows(
                model, _parsed(rows, parse), target_prefix=prefixes, **keywords
            ),
            render=generation_json if as_json else generation_text,
            several=as_json,
        )


def _of_file(rows: Iterator[list[int]], path: Path) -> Iterator[list[int]]:
    try:
        yield from rows
    except LineError as error:
        raise Error(f"{path}, {error}") from error


def _parsed(lines: Iterator[str], parse: Callable[[str], list[int]]) -> Iterator[list[int]]:
    for number, line in enumerate(lines, start=1):
        try:
            row = parse(line)
        except ValueError as error:
            shown = line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
            raise LineError(number, f"{error}; given {shown!r}") from error
        yield row


def _spaced_ids(line: str) -> list[int]:
    try:
        return [int(word) for word in line.split()]
    except ValueError as error:
        raise ValueError("expected integers separated by spaces") from error


def _json_ids(line: str) -> list[int]:
    try:
        ids = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("expected a JSON list of integers") from error
    if not isinstance(ids, list) or not all(type(number) is int for number in ids):
        raise ValueError("expected a JSON list of integers")
    return ids
