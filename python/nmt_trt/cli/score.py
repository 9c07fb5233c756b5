"""`nmt-trt score`: what a model thinks of translations that are given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmt_trt.cli.answers import score_json, score_text
from nmt_trt.cli.console import counting
from nmt_trt.cli.files import open_output, parallel_lines
from nmt_trt.cli.options import ModelDirectory, RuntimeFlags
from nmt_trt.cli.session import open_model
from nmt_trt.options import BatchType, GenerationOptions

Source = Annotated[Path, typer.Option("--source", metavar="FILE", help="Text, one sentence a line.")]
Target = Annotated[Path, typer.Option("--target", metavar="FILE", help="Its translation, line by line.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write this file instead of standard output.")
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Write one JSON object a line: source, target, tokens, log_prob and token_scores."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="What is scored together, at most, counted as --batch-type says.", show_default="32 sentences"),
]
CountedIn = Annotated[
    BatchType, typer.Option(help="Count --batch-size in sentences, or in source tokens with padding.")
]
Deterministic = Annotated[bool, typer.Option(help="The same score bits whatever else is scored; slower.")]


def score(
    model_dir: ModelDirectory = None,
    *,
    source: Source,
    target: Target,
    output: Output = None,
    as_json: AsJson = False,
    batch_size: BatchSize = None,
    batch_type: CountedIn = GenerationOptions.batch_type,
    deterministic: Deterministic = GenerationOptions.deterministic,
    runtime: RuntimeFlags,
) -> None:
    """Score translations: the sum of the log-probabilities of each line's tokens, the end token included.

    Example: nmt-trt score my_model/ --source test.en --target test.de
    """
    sources, targets = parallel_lines(source, target, "target")
    options = {"batch_size": batch_size, "batch_type": batch_type, "deterministic": deterministic}
    model = open_model(model_dir, options, runtime)
    render = score_json if as_json else score_text
    with open_output(output) as sink:
        with counting("scoring", len(sources), quiet=runtime.quiet) as advance:
            scores = model.score_text(
                sources,
                targets,
                progress=advance,
                batch_size=batch_size,
                batch_type=batch_type,
                deterministic=deterministic,
            )
        for line in zip(sources, targets, scores, strict=True):
            sink.write((render(*line) + "\n").encode())
