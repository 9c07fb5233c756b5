"""`nmt-trt build`: a checkpoint in, a model directory out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from nmt_trt.build import build as build_model
from nmt_trt.cli.console import notice, working
from nmt_trt.cli.facts import aligned, model_facts
from nmt_trt.inspection import inspect_path

Checkpoint = Annotated[Path, typer.Argument(metavar="CHECKPOINT.nemo", help="A NeMo translation model.")]
Directory = Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="The directory to make.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a model that is already there.")]
PrecisionName = Annotated[
    str,
    typer.Option(metavar="fp32|fp16", help="fp16 also writes half-precision graphs, beside the fp32 ones."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]


def build(
    checkpoint: Checkpoint,
    model_dir: Directory,
    force: Force = False,
    precision: PrecisionName = "fp32",
    quiet: Quiet = False,
) -> None:
    """Import a checkpoint and make a model directory, which every other command reads.

    The directory appears when it is complete; a failure leaves what was there before.

    Example: nmt-trt build my_model.nemo my_model/
    """
    started = time.perf_counter()
    with working(f"building {model_dir}", quiet=quiet):
        built = build_model(checkpoint, model_dir, overwrite=force, precision=precision)
    for note in built.notes:
        notice(f"note: {note}", quiet=quiet)
    if not quiet:
        print(aligned({**model_facts(inspect_path(model_dir)), "time": f"{time.perf_counter() - started:.1f} s"}))
        print(f"\ntranslate with: nmt-trt translate {model_dir} < input.txt > output.txt")
