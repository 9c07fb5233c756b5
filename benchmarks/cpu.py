"""Compares translation speed on the CPU: this package, PyTorch with NeMo's caching, generate() of Hugging Face
transformers, and CTranslate2, side by side.

    python benchmarks/cpu.py [--model DIR] [--text FILE] [--sentences 500] [--beam-size 4] [--batch-size 16]
        [--threads N] [--repeats 3] [--max-length N] [--profile] [--json FILE]

All systems get the same weights, token ids, batches and threads; see README.md beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from machine import processor
from nmt_trt.demo import demo_directory
from nmt_trt.model_directory import read_config, read_tokenizer_files
from nmt_trt.text.pipeline import TextPipeline
from systems import OURS, SYSTEMS, Job, Sequences
from worker import Worker

SAMPLE = Path(__file__).with_name("sentences.en.txt")
PACKAGES = ("nmt_trt", "onnxruntime", "torch", "transformers", "ctranslate2")


@dataclass(frozen=True)
class Measured:
    """One system's result.

    Attributes:
        seconds: the median over the repeats.
        fastest, slowest: the extremes.
        sentences_per_second: source sentences.
        tokens_per_second: tokens of the best hypotheses, EOS not counted.
        ratio: this system's seconds to ours; above 1 it is slower.
        agreement: share of the sentences whose tokens are exactly ours.
    """

    seconds: float
    fastest: float
    slowest: float
    sentences_per_second: float
    tokens_per_second: float
    ratio: float
    agreement: float


def main() -> None:
    """Run the benchmark and print its tables."""
    arguments = _parse_arguments()
    console = Console()
    rows, origin = _source_rows(arguments)
    options = {"beam_size": arguments.beam_size, "batch_size": arguments.batch_size}
    if arguments.max_length is not None:
        options["max_length"] = arguments.max_length
    job = Job(arguments.model, rows, options, arguments.threads)
    setting = _setting(arguments, rows, origin)
    console.print(_setting_table(setting))
    report: dict[str, Any] = {"setting": setting}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(name, job)) for name in SYSTEMS}
        measured = _measure(workers, arguments.repeats, console)
        report["systems"] = {name: asdict(result) for name, result in measured.items()}
        console.print(_systems_table(measured))
        parts = report["parts"] = workers[OURS].call("parts")
        console.print(_shares_table(f"Where the time of {OURS} goes", parts))
        if arguments.profile:
            report["operators"] = workers[OURS].call("operators")
            for session, operators in report["operators"].items():
                console.print(_shares_table(f"Operators of the {session}", operators))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare translation speed on the CPU.")
    parser.add_argument("--model", type=Path, help="a model directory; the bundled demo model by default")
    parser.add_argument("--text", type=Path, default=SAMPLE, help="UTF-8, one source sentence a line")
    parser.add_argument("--sentences", type=int, default=500, help="how many; the text is repeated when it has fewer")
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="the number of cores by default")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each system, after one that is not timed")
    parser.add_argument("--max-length", type=int, help="most tokens generated a sentence")
    parser.add_argument("--profile", action="store_true", help="also list our time by ONNX operator")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    arguments = parser.parse_args()
    arguments.model = arguments.model or demo_directory()
    return arguments


def _source_rows(arguments: argparse.Namespace) -> tuple[list[npt.NDArray[np.int32]], str]:
    """The encoder's inputs, and a line that says where they came from."""
    config, count = read_config(arguments.model), arguments.sentences
    if config.text is None:
        return _random_rows(config.encoder.vocab_size, config.source_tokens.eos, count), "random ids (no tokenizer)"
    pipeline = TextPipeline(config, read_tokenizer_files(arguments.model, config))
    lines = [line for line in arguments.text.read_text(encoding="utf-8").splitlines() if line.strip()]
    distinct = [np.asarray(pipeline.encode(line), dtype=np.int32) for line in lines[:count]]
    if not distinct:
        raise SystemExit(f"{arguments.text}: expected lines of text; the file has none")
    origin = f"{arguments.text.name}, {len(distinct)} different sentences"
    if len(distinct) < count:
        origin += f" repeated to {count}"
    return list(itertools.islice(itertools.cycle(distinct), count)), origin


def _random_rows(vocabulary: int, eos: int, count: int) -> list[npt.NDArray[np.int32]]:
    """Sources whose lengths are spread as those of sentences are."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(22), 0.5, count).astype(int), 3, 100)
    return [np.append(rng.integers(4, vocabulary, length), eos).astype(np.int32) for length in lengths]


def _measure(workers: dict[str, Worker], repeats: int, console: Console) -> dict[str, Measured]:
    """Warm every system up with one whole run, then run them in turn, `repeats` times."""
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    found: dict[str, Sequences] = {}
    for repeat in range(repeats + 1):
        for name, worker in workers.items():
            with console.status(f"run {repeat} of {repeats}: {name}" if repeat else f"warm-up: {name}"):
                taken, found[name] = worker.call("run")
            if repeat:
                seconds[name].append(taken)
    ours = statistics.median(seconds[OURS])
    return {name: _summary(seconds[name], found[name], ours, found[OURS]) for name in workers}


def _summary(seconds: list[float], sequences: Sequences, ours: float, our_sequences: Sequences) -> Measured:
    median = statistics.median(seconds)
    same = sum(one == other for one, other in zip(sequences, our_sequences, strict=True))
    return Measured(
        seconds=median,
        fastest=min(seconds),
        slowest=max(seconds),
        sentences_per_second=len(sequences) / median,
        tokens_per_second=sum(map(len, sequences)) / median,
        ratio=median / ours,
        agreement=same / len(sequences),
    )


def _setting(arguments: argparse.Namespace, rows: list[npt.NDArray[np.int32]], origin: str) -> dict[str, str]:
    lengths = [row.size for row in rows]
    return {
        "text": f"{origin}; {statistics.mean(lengths):.1f} source tokens a sentence, {max(lengths)} at most",
        "search": f"beam {arguments.beam_size}, batches of {arguments.batch_size} sorted by length, float32",
        "machine": f"{processor()}, {arguments.threads} threads of {os.cpu_count()}",
        "load": f"{os.getloadavg()[0]:.2f} running processes on average in the minute before",
        "versions": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def _setting_table(setting: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in setting.items():
        table.add_row(name, value)
    return table


def _systems_table(measured: dict[str, Measured]) -> Table:
    table = Table("system", title="Translation on the CPU", caption="ratio: time, ours = 1; same: output equal to ours")
    for heading in ("seconds", "fastest", "sent./s", "tokens/s", "ratio", "same"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, result in measured.items():
        table.add_row(
            name,
            f"{result.seconds:.2f}",
            f"{result.fastest:.2f}",
            f"{result.sentences_per_second:.1f}",
            f"{result.tokens_per_second:.0f}",
            f"{result.ratio:.2f}",
            f"{result.agreement:.1%}",
        )
    return table


def _shares_table(title: str, seconds: dict[str, float]) -> Table:
    table = Table("part", title=title)
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    total = sum(seconds.values())
    for name, spent in seconds.items():
        table.add_row(name, f"{spent:.3f}", f"{spent / total:.1%}")
    return table


if __name__ == "__main__":
    main()
