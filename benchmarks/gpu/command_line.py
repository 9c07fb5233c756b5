"""Command-line options that several scripts have, their values, and the texts that they name."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

import locations

SAMPLE = locations.REPOSITORY / "benchmarks" / "sentences.en.txt"


def positive_numbers(text: str) -> tuple[int, ...]:
    """Positive numbers separated by ','."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"expected positive numbers separated by ','; given {text!r}")
    return numbers


def names_of(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """What reads some of the known names, separated by ','."""

    def names(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        if not set(found) <= set(known):
            raise argparse.ArgumentTypeError(f"expected some of {','.join(known)}; given {text!r}")
        return found

    return names


def add_run_options(
    parser: argparse.ArgumentParser,
    *,
    on_cpu: str = "float32, ONNX Runtime",
    time_limit: float = 440,
    until: str = "nothing new is begun",
) -> None:
    """Options --results, --device, --backend and --time-limit.

    Args:
        parser: to add them to.
        on_cpu: what --device cpu does.
        time_limit: the default, in seconds.
        until: what happens then.
    """
    parser.add_argument("--results", type=Path, help="append the numbers to this file, one JSON object a line")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help=f"cpu: {on_cpu}")
    parser.add_argument("--backend", default="auto", help="nmt_trt's backend on the GPU")
    parser.add_argument("--time-limit", type=float, default=time_limit, help=f"seconds after which {until}")


def add_tiny_option(parser: argparse.ArgumentParser, what: str = "a model of no weight") -> None:
    """Option --tiny; `what` says of which input."""
    parser.add_argument("--tiny", action="store_true", help=f"{what}, to try the script itself")


def add_text_options(parser: argparse.ArgumentParser, sentences: int) -> None:
    """Options --text, --reference and --sentences, for read_texts."""
    parser.add_argument("--text", type=Path, default=SAMPLE, help="UTF-8, one source sentence a line")
    parser.add_argument("--reference", type=Path, help="its translation, line by line, for BLEU")
    parser.add_argument("--sentences", type=int, default=sentences, help="as many of the first ones")


def read_texts(given: argparse.Namespace) -> tuple[list[str], list[str] | None]:
    """The first lines of a text that are not blank, and their references if there are any.

    Raises:
        SystemExit: there are no lines, or the files have different numbers of them.
    """
    lines = given.text.read_text(encoding="utf-8").splitlines()
    references = lines if given.reference is None else given.reference.read_text(encoding="utf-8").splitlines()
    if len(references) != len(lines):
        raise SystemExit(f"{given.reference}: expected {len(lines)} lines as the text has; found {len(references)}")
    pairs = [pair for pair in zip(lines, references, strict=True) if pair[0].strip()][: given.sentences]
    if not pairs:
        raise SystemExit(f"{given.text}: expected lines of text; the file has none")
    return [line for line, _ in pairs], None if given.reference is None else [line for _, line in pairs]
