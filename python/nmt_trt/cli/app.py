"""Gathers the commands into one program."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from nmt_trt._core import __version__
from nmt_trt.cli.build import build
from nmt_trt.cli.command import as_command
from nmt_trt.cli.demo import demo
from nmt_trt.cli.doctor import doctor
from nmt_trt.cli.evaluate import evaluate
from nmt_trt.cli.generate import generate
from nmt_trt.cli.inspect import inspect
from nmt_trt.cli.precision import precision
from nmt_trt.cli.profile import profile
from nmt_trt.cli.score import score
from nmt_trt.cli.translate import translate

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for _command in (build, translate, generate, score, evaluate, inspect, precision, profile, doctor, demo):
    app.command()(as_command(_command))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nmt-trt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Translate with Transformer models: import a checkpoint once, then translate text or generate from ids.

    Start with: nmt-trt demo
    """


def main() -> None:
    """Run the command line on this process's arguments and exit."""
    _open_closed_streams()
    app(prog_name="nmt-trt")


def _open_closed_streams() -> None:
    """Stand in for standard streams that the caller has closed: nothing to read, nowhere to write."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  (open until exit)
