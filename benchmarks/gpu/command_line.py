"""Values of command-line options that several scripts have, and the texts that they name."""

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
