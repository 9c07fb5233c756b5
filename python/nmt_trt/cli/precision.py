"""`nmt-trt precision`: every layer of a low precision against fp32."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from nmt_trt.cli.command import EXIT_FAILURE
from nmt_trt.cli.console import counting, working
from nmt_trt.cli.files import open_input, read_lines
from nmt_trt.cli.options import ModelDirectory
from nmt_trt.demo import demo_directory
from nmt_trt.precision.check import DEFAULT_THRESHOLD, Report, check_precision, low_precision
from nmt_trt.precision.comparison import Layer
from nmt_trt.precision.texts import translated_pairs

Text = Annotated[Path, typer.Option("--text", metavar="FILE", help="Text to translate, one sentence a line.")]
PrecisionName = Annotated[str, typer.Option(metavar="fp16|bf16", help="What to compare with fp32.")]
Sentences = Annotated[int, typer.Option(min=1, metavar="N", help="Use the first N lines that are not empty.")]
Threshold = Annotated[float, typer.Option(min=0.0, help="A layer drifts when its relative error is above this.")]
Write = Annotated[
    bool,
    typer.Option("--write", help="Make blocks float32 until no layer overflows or drifts; export the graphs again."),
]
SourceLanguage = Annotated[str | None, typer.Option(help="Of a multilingual model, the language of the text.")]
TargetLanguage = Annotated[str | None, typer.Option(help="Of a multilingual model, the language to translate to.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def precision(
    model_dir: ModelDirectory = None,
    *,
    text: Text,
    precision: PrecisionName = "fp16",
    sentences: Sentences = 100,
    threshold: Threshold = DEFAULT_THRESHOLD,
    write: Write = False,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare every layer's output in a low precision with fp32 on real sentences; name those that overflow or drift.

    Runs on the CPU: the low precision is emulated, by rounding every result to its type. The decoder is given fp32's
    own translations. Shown are a layer's largest absolute value in fp32, the power of two that the low precision
    multiplies it by lest it overflow, and the relative error. The exit code is 0 when no layer overflows or drifts,
    else 1.

    Example: nmt-trt precision my_model/ --text dev.en --precision fp16
    """
    chosen = low_precision(precision)
    directory = model_dir or demo_directory()
    with open_input(text) as stream:
        lines = list(islice((line for line in read_lines(stream) if line.strip()), sentences))
    with working("translating in fp32", quiet=quiet):
        pairs = translated_pairs(directory, lines, source_language=source_language, target_language=target_language)
    with counting("comparing", None if write else len(pairs), quiet=quiet) as advance:
        report = check_precision(directory, pairs, chosen, threshold=threshold, write=write, advance=advance)
    if as_json:
        print(json.dumps(_as_dict(report), indent=2))
    else:
        _show(report)
        if write:
            print(f"wrote the {report.precision} graphs of {directory}")
        elif report.problems:
            print("to mend them: --write")
    if report.problems:
        raise typer.Exit(EXIT_FAILURE)


def _verdict(layer: Layer, threshold: float) -> str:
    if layer.not_finite:
        return "overflows"
    return "drifts" if layer.relative_error > threshold else "ok"


def _as_dict(report: Report) -> dict[str, Any]:
    return {
        "precision": report.precision,
        "sentences": report.sentences,
        "positions": report.comparison.positions,
        "different_tokens": report.comparison.different_tokens,
        "threshold": report.threshold,
        "float32": list(report.float32),
        "mended": list(report.mended),
        "layers": [
            {
                "name": layer.name,
                "verdict": _verdict(layer, report.threshold),
                "largest": layer.largest,
                "exponent": layer.exponent,
                "relative_error": layer.relative_error if math.isfinite(layer.relative_error) else None,
                "not_finite": layer.not_finite,
            }
            for layer in report.comparison.layers
        ],
    }


def _show(report: Report) -> None:
    width = max(len(layer.name) for layer in report.comparison.layers)
    print(f"{'layer':<{width}}  {'largest':>10}  {'scale':>5}  {'error':>8}")
    for layer in report.comparison.layers:
        scale = f"2^{-layer.exponent}" if layer.exponent else ""
        verdict = _verdict(layer, report.threshold)
        line = f"{layer.name:<{width}}  {layer.largest:>10.4g}  {scale:>5}  {layer.relative_error:>8.1e}"
        print(line if verdict == "ok" else f"{line}  {verdict}")
    different, positions = report.comparison.different_tokens, report.comparison.positions
    print(f"\n{report.precision} against fp32 on {report.sentences:,} sentences:")
    print(f"best token differs at {different:,} of {positions:,} positions")
    if report.float32:
        print(f"float32 blocks: {', '.join(report.float32)}")
    bad = report.problems
    print(f"layers that overflow or drift: {', '.join(layer.name for layer in bad) or 'none'}")
