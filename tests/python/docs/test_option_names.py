"""The table of options names what the other programs have."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import ctranslate2
import pytest
import transformers

from nmt_trt import GenerationOptions, Model

ROOT = Path(__file__).parents[3]
OURS, POLICIES, HUGGING_FACE, CTRANSLATE2, NEMO = range(5)
EARLIER = {"num_beam_groups"}
"""Names that transformers 4 had."""


def rows() -> Iterator[list[str]]:
    """The cells of the table's rows."""
    page = (ROOT / "docs" / "generation.md").read_text("utf-8")
    table = page[page.index("| Here | Policies |") :].split("\n\n")[0]
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def names(column: int) -> set[str]:
    """What stands in `code` in a column."""
    return {re.sub(r"\(\)|=.*|^Model\.", "", name) for row in rows() for name in re.findall(r"`([^`]+)`", row[column])}


def test_every_option_of_ours_is_there() -> None:
    assert names(OURS) - {"target_prefix", "score", "score_text", "policy"} == {
        field.name for field in fields(GenerationOptions)
    } - {"policy"}
    assert hasattr(Model, "score") and hasattr(Model, "score_text")


def test_names_of_transformers() -> None:
    model = transformers.MarianMTModel
    known = {*vars(transformers.GenerationConfig()), *dir(transformers)}
    known |= {*inspect.signature(model.generate).parameters, *inspect.signature(model.forward).parameters}
    assert names(HUGGING_FACE) - known - EARLIER - {"gnmt", "hf"} == set()


def test_names_of_ctranslate2() -> None:
    translator = ctranslate2.Translator
    known = {*re.findall(r"\w+", str(translator.translate_batch.__doc__)), *dir(translator), *dir(ctranslate2)}
    assert names(CTRANSLATE2) - known == set()


def test_names_of_nemo() -> None:
    folder = ROOT / "build" / "nemo_toolkit-1.23.0"
    if not folder.exists():
        pytest.fail("NeMo's sources are missing: make test fetches them")
    modules = folder / "nemo" / "collections" / "nlp" / "modules" / "common" / "transformer"
    text = (modules / "transformer_generators.py").read_text("utf-8")
    assert names(NEMO) - {"gnmt"} - {*re.findall(r"\w+", text)} == set()
