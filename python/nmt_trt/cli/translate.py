"""`nmt-trt translate`: lines of text in, lines of text out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nmt_trt.cli.answers import translation_json, translation_text
from nmt_trt.cli.files import lines_beside
from nmt_trt.cli.options import ModelDirectory, RuntimeFlags, SearchFlags, StreamFlags, TextWorkers
from nmt_trt.cli.streaming import answer_stream
from nmt_trt.errors import UsageError
from nmt_trt.runtime.stream import document_windows, translate_windows

AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Write one JSON object a line: source, translation, and hypotheses with text, tokens, score and log_prob.",
    ),
]
AsDocument = Annotated[
    bool,
    typer.Option(
        "--document",
        help="Translate running text: each line is split into sentences; blank lines, spaces and line ends are kept. "
        "Needs the extra documents.",
    ),
]
TargetPrefix = Annotated[
    Path | None,
    typer.Option(
        "--target-prefix",
        metavar="FILE",
        help="Line N of FILE, which may be empty, is what line N of the output begins with.",
        rich_help_panel="Search",
    ),
]
ReplaceUnknowns = Annotated[
    bool,
    typer.Option(
        "--replace-unknowns",
        help="Put the source word that an unknown token attends to in its place.",
        rich_help_panel="Search",
    ),
]


def translate(
    model_dir: ModelDirectory = None,
    as_json: AsJson = False,
    document: AsDocument = False,
    target_prefix: TargetPrefix = None,
    replace_unknowns: ReplaceUnknowns = False,
    text_workers: TextWorkers = 0,
    *,
    stream: StreamFlags,
    search: SearchFlags,
    runtime: RuntimeFlags,
) -> None:
    """Translate text, one sentence a line, from standard input to standard output.

    Line N of the output translates line N of the input; an empty line stays empty.

    Example: nmt-trt translate my_model/ < input.txt > output.txt
    """
    if document:
        if as_json:
            raise UsageError("--document contradicts --json, which writes one object a line")
        if target_prefix is not None:
            raise UsageError("--document contradicts --target-prefix, which is of lines")
        answer_stream(
            model_dir,
            stream,
            search,
            runtime,
            windows=partial(document_windows, replace_unknowns=replace_unknowns),
            render=str,
            several=False,
            keep_ends=True,
            text_workers=text_workers,
        )
        return
    with lines_beside(target_prefix) as prefixes:
        answer_stream(
            model_dir,
            stream,
            search,
            runtime,
            windows=partial(translate_windows, target_prefix=prefixes, replace_unknowns=replace_unknowns),
            render=translation_json if as_json else translation_text,
            several=as_json,
            text_workers=text_workers,
        )
