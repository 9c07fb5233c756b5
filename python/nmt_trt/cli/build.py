"""`nmt-trt build`: a checkpoint in, a model directory and its engines out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from nmt_trt.build import build as build_model
from nmt_trt.cli.console import Tables, notice, working
from nmt_trt.cli.engine_progress import EngineProgress
from nmt_trt.cli.facts import aligned, model_facts
from nmt_trt.cli.verbose import engine_log
from nmt_trt.engines.build_engines import (
    BuilderName,
    EngineBuilder,
    EngineReport,
    build_engines,
    choose_builder,
    trtexec_flavour,
)
from nmt_trt.engines.decoders import DecoderName
from nmt_trt.engines.flavours import FlavourName
from nmt_trt.engines.plan_spec import EngineSizes, Range, model_plans, model_shapes
from nmt_trt.engines.stored_sizes import read_engine_sizes, write_engine_sizes
from nmt_trt.engines.trtexec import trtexec_command
from nmt_trt.errors import UsageError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.inspection import inspect_path
from nmt_trt.model_directory import add_precision, read_config
from nmt_trt.models.importing import is_huggingface, is_model_name
from nmt_trt.runtime.precision import held_precisions

_ENGINES = "Engines"
_MIB = 1 << 20
Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A NeMo translation model (.nemo), or one of Hugging Face (Marian, M2M100, NLLB, mBART): its "
        "directory, or its name, by which it is downloaded. Without MODEL_DIR, a model directory that is to get "
        "engines.",
    ),
]
Directory = Annotated[
    Path | None, typer.Argument(metavar="MODEL_DIR", help="The directory to make.", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Replace a model that is already there.")]
PrecisionName = Annotated[
    str | None,
    typer.Option(
        metavar="fp32|fp16|bf16",
        help="fp16 and bf16 also write graphs of that precision, beside the fp32 ones, and build its engines.",
        show_default="fp16, or bf16 if MODEL_DIR has that alone; fp32 without engines",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]


@dataclass(frozen=True, kw_only=True)
class EngineFlags:
    """Which TensorRT engines to build."""

    backend: Annotated[
        BuilderName,
        typer.Option(
            help="What is to run the model. auto builds engines if TensorRT and a GPU are here.",
            rich_help_panel=_ENGINES,
        ),
    ] = "auto"
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="sm_86",
            help="Build with TensorRT-RTX for this kind of GPU into the model directory; needs no GPU. Repeatable.",
            show_default=False,
            rich_help_panel=_ENGINES,
        ),
    ] = None
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="MIN:OPT:MAX",
            help="Sentences that engines take together.",
            show_default="as before, at first 1:8:64",
            rich_help_panel=_ENGINES,
        ),
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            metavar="MIN:OPT:MAX",
            help="Tokens of a source, special ones included.",
            show_default="as before, at first 1:64:256, or up to the model's positions",
            rich_help_panel=_ENGINES,
        ),
    ] = None
    beam_size: Annotated[
        str | None,
        typer.Option(
            metavar="MIN:OPT:MAX",
            help="Hypotheses kept a sentence.",
            show_default="as before, at first 1 to 8, tuned for the model's own",
            rich_help_panel=_ENGINES,
        ),
    ] = None
    workspace: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="MIB",
            help="Most scratch memory of a layer.",
            show_default="TensorRT's own limit",
            rich_help_panel=_ENGINES,
        ),
    ] = None
    decoder: Annotated[
        DecoderName,
        typer.Option(
            help="auto builds none for a decoder that the package's own kernels run; engines for any.",
            rich_help_panel=_ENGINES,
        ),
    ] = "auto"
    trtexec: Annotated[
        bool,
        typer.Option(
            "--trtexec",
            help="Build no engines: print the trtexec command lines for all of them, and nothing else.",
            rich_help_panel=_ENGINES,
        ),
    ] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show everything that TensorRT says.", rich_help_panel=_ENGINES)
    ] = False

    def sizes(self) -> EngineSizes:
        """The sizes that were asked for.

        Raises:
            UsageError: not a range.
        """
        given = {
            "batch": _range("--batch", self.batch),
            "source": _range("--source", self.source),
            "beam": _range("--beam-size", self.beam_size),
        }
        return {name: size for name, size in given.items() if size is not None}

    def builder(self) -> EngineBuilder | FlavourName:
        """What builds the engines, or, with --trtexec, whose commands are to be printed.

        Raises:
            UsageError, EngineError: see choose_builder.
        """
        if not self.trtexec:
            return choose_builder(self.backend, self.target or ())
        if self.target:
            raise UsageError("--trtexec prints commands for the GPU that they are run on: give no --target")
        return trtexec_flavour(self.backend)

    @property
    def workspace_bytes(self) -> int | None:
        """The limit in bytes."""
        return None if self.workspace is None else self.workspace * _MIB


def build(
    checkpoint: Checkpoint,
    model_dir: Directory = None,
    force: Force = False,
    precision: PrecisionName = None,
    quiet: Quiet = False,
    *,
    engines: EngineFlags,
) -> None:
    """Import a checkpoint and make a model directory, which every other command reads; then build its engines.

    The directory appears when it is complete; a failure leaves what was there before. On a machine with a GPU and
    TensorRT, engines are kept in your own cache; without one, name the GPUs that they are for. Sizes of engines are
    kept in the directory: every command takes them from then on.

    Example: nmt-trt build my_model.nemo my_model/

    Example: nmt-trt build Helsinki-NLP/opus-mt-en-de my_model/

    Example: nmt-trt build my_model.nemo my_model/ --backend tensorrt-rtx --target sm_86 --target sm_89
    """
    started = time.perf_counter()
    given = engines.sizes()  # what cannot be used is said before anything is made
    builder = engines.builder()
    no_engines = isinstance(builder, EngineBuilder) and builder.flavour is None
    if model_dir is None:
        if not checkpoint.exists() and not is_model_name(checkpoint):
            raise UsageError(f"{checkpoint}: no such file or directory")
        if not checkpoint.is_dir() or is_huggingface(checkpoint):
            raise UsageError("give the directory to make as well: nmt-trt build CHECKPOINT MODEL_DIR")
        model_dir = checkpoint
        held = held_precisions(model_dir, read_config(model_dir))
        precision = precision or _usual_precision(held, no_engines=no_engines)
        if precision not in held:
            _add_graphs(model_dir, precision, quiet=quiet)
    else:
        precision = precision or _usual_precision([], no_engines=no_engines)
        with working(f"building {model_dir}", quiet=quiet):
            built = build_model(checkpoint, model_dir, overwrite=force, precision=precision)
        for note in built.notes:
            notice(f"note: {note}", quiet=quiet)
    config = read_config(model_dir)
    kept = read_engine_sizes(model_dir, config)
    sizes = {**kept, **given}
    shapes = model_shapes(config, **sizes)
    if not isinstance(builder, EngineBuilder):
        for spec in model_plans(config, precision, shapes):
            print(trtexec_command(model_dir, spec, builder, workspace_bytes=engines.workspace_bytes))
        return
    with engine_log(shown=engines.verbose), EngineProgress(quiet=quiet or engines.verbose) as progress:
        report = build_engines(
            model_dir,
            builder,
            precision=precision,
            decoder=engines.decoder,
            shapes=shapes,
            workspace_bytes=engines.workspace_bytes,
            started=progress.started,
            progress=progress.step,
        )
    if sizes != kept:
        write_engine_sizes(model_dir, sizes)
    if not quiet:
        facts = {**model_facts(inspect_path(model_dir)), "engines": builder.remark}
        print(aligned({**facts, "time": f"{time.perf_counter() - started:.1f} s"}))
        _print_engines(report)
        print(f"\ntranslate with: nmt-trt translate {model_dir} < input.txt > output.txt")


def _usual_precision(held: Sequence[str], *, no_engines: bool) -> str:
    """The fastest that a directory holds, as every command takes it; fp16, once engines are built, if that is fp32."""
    if no_engines:
        return "fp32"
    return next((name for name in held if name != "fp32"), "fp16")


def _add_graphs(model_dir: Path, precision: str, *, quiet: bool) -> None:
    if precision not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}; given {precision!r}")
    with working(f"exporting {precision} graphs to {model_dir}", quiet=quiet):
        add_precision(model_dir, PRECISIONS[precision])


def _range(option: str, text: str | None) -> Range | None:
    try:
        return None if text is None else Range.parse(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error


def _print_engines(report: EngineReport) -> None:
    if not report.engines:
        return
    table = Table("plan", "for", "precision")
    for column in ("layers", "bytes", "seconds"):
        table.add_column(column, justify="right")
    for engine in report.engines:
        made, origin = engine.record, engine.record.origin
        sizes = " ".join(f"{name}={size}" for name, size in origin.dimensions.items())
        seconds = f"{made.seconds:.1f}" if engine.fresh else "kept"
        table.add_row(
            origin.graph,
            f"{origin.target} {sizes}",
            origin.precision,
            str(made.layers),
            f"{made.plan_bytes:,}",
            seconds,
        )
    console = Tables(highlight=False)
    console.print()
    console.print(table)
    fresh = [engine.record for engine in report.engines if engine.fresh]
    console.print(
        f"{len(fresh)} of {len(report.engines)} plans built in {sum(record.seconds for record in fresh):.1f} s, "
        f"{sum(engine.record.plan_bytes for engine in report.engines):,} bytes in {report.place}",
        soft_wrap=True,
    )
    if not report.has_decoder:
        console.print("the decoder needs no plans: the package's own kernels run it", soft_wrap=True)
