"""`nmt-trt profile`: where the time goes inside a model's engines."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from nmt_trt.cli.console import Tables
from nmt_trt.cli.engine_progress import EngineProgress
from nmt_trt.cli.options import ModelDirectory
from nmt_trt.demo import demo_directory
from nmt_trt.engines.build_engines import choose_builder
from nmt_trt.engines.flavours import FlavourName
from nmt_trt.engines.layer_profile import LayerTime, profile_plan, run_shapes
from nmt_trt.engines.plan_cache import PlanCache
from nmt_trt.engines.plan_spec import PlanSpec, model_plans, model_shapes, padded_tokens
from nmt_trt.engines.stored_sizes import read_engine_sizes
from nmt_trt.errors import EngineError, UsageError
from nmt_trt.model_directory import read_config
from nmt_trt.runtime.engine_options import PrecisionName
from nmt_trt.runtime.precision import gpu_precision

Graph = Annotated[
    str,
    typer.Option(
        metavar="encoder|decoder|encoder_N|decoder_N", help="encoder, decoder: all the segments of this side."
    ),
]
Precision = Annotated[
    PrecisionName, typer.Option(help="Of the graphs; auto takes the fastest that MODEL_DIR holds, as translate does.")
]
Batch = Annotated[int | None, typer.Option(min=1, help="Sentences.", show_default="what they are tuned for: 8")]
Source = Annotated[
    int | None, typer.Option(min=1, help="Tokens of each source.", show_default="what they are tuned for: 64")
]
BeamSize = Annotated[int | None, typer.Option(min=1, help="Hypotheses a sentence.", show_default="the model's")]
Runs = Annotated[int, typer.Option(min=1, help="Runs to time.")]
Backend = Annotated[Literal["auto", FlavourName], typer.Option(help="What runs the model; auto takes what works here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def profile(
    model_dir: ModelDirectory = None,
    graph: Graph = "decoder",
    precision: Precision = "auto",
    batch: Batch = None,
    source: Source = None,
    beam_size: BeamSize = None,
    runs: Runs = 20,
    backend: Backend = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show the time of every layer of a model's TensorRT engines, the slowest first. Needs a GPU.

    Engines are taken from your cache, and built if they are not there, for the sizes that `nmt-trt build` was given.
    They run the kernels that translation runs. Attention and search run between them and are not shown.

    Example: nmt-trt profile my_model/ --graph decoder --batch 32
    """
    directory = model_dir or demo_directory()
    config = read_config(directory)
    accepted = model_shapes(config, **read_engine_sizes(directory, config))
    taken = gpu_precision(precision, directory, config)
    specs = _chosen(graph, model_plans(config, taken, accepted))
    builder = choose_builder(backend, for_others=False)
    if builder.flavour is None or builder.gpu is None:
        raise EngineError(f"no engines to profile: {builder.remark.removeprefix('none: ')}")
    flavour = builder.flavour
    batch = batch or accepted.batch.opt
    sizes = {
        "T": padded_tokens(batch * (source or accepted.source.opt)),
        "R": batch * (beam_size or config.generation.beam_size),
    }
    shapes = {spec: run_shapes(directory, spec, sizes) for spec in specs}
    times: dict[str, list[LayerTime]] = {}
    with EngineProgress(quiet=quiet) as progress:
        cache = PlanCache(directory, flavour, builder.gpu, progress=progress.step)
        kernels = _content(cache.runtime_cache_path)
        for number, spec in enumerate(specs, start=1):
            progress.started(spec, number, len(specs))
            times[spec.graph] = profile_plan(cache.get(spec), flavour, shapes[spec], runs=runs, kernels=kernels)
    if as_json:
        _print_json(builder.remark, taken, sizes, times)
    else:
        _print_table(times)


def _chosen(graph: str, specs: list[PlanSpec]) -> list[PlanSpec]:
    chosen = [spec for spec in specs if graph in (spec.side, spec.graph)]
    if not chosen:
        names = ", ".join(["encoder", "decoder", *(spec.graph for spec in specs)])
        raise UsageError(f"--graph must be one of {names}; given {graph!r}")
    return chosen


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _print_json(engine: str, precision: str, sizes: dict[str, int], times: dict[str, list[LayerTime]]) -> None:
    graphs = {graph: [asdict(layer) for layer in layers] for graph, layers in times.items()}
    print(json.dumps({"engine": engine, "precision": precision, "sizes": sizes, "graphs": graphs}, indent=2))


def _print_table(times: dict[str, list[LayerTime]]) -> None:
    total = sum(layer.mean_us for layers in times.values() for layer in layers)
    table = Table("graph", "layer")
    for column in ("calls", "mean us", "share"):
        table.add_column(column, justify="right")
    rows = [(graph, layer) for graph, layers in times.items() for layer in layers]
    for graph, layer in sorted(rows, key=lambda row: row[1].mean_us, reverse=True):
        share = f"{layer.mean_us / total:.1%}" if total else "-"
        table.add_row(graph, layer.name, str(layer.calls), f"{layer.mean_us:.1f}", share)
    table.add_section()
    table.add_row("", "total", "", f"{total:.1f}", "")
    Tables(highlight=False).print(table)
