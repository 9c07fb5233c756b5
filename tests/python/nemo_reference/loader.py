"""Loads the Transformer modules of the real NeMo 1.23.0 without the packages that the whole of NeMo needs."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCE_VARIABLE = "NMT_TRT_NEMO_DIR"
FETCHED = Path(__file__).resolve().parents[3] / "build" / "nemo_toolkit-1.23.0"
PARTS = "nemo.collections.common.parts"
TRANSFORMER = "nemo.collections.nlp.modules.common.transformer"


@dataclass(frozen=True)
class NemoClasses:
    """The classes of NeMo that the reference is made of."""

    embedding: Any
    encoder: Any
    decoder: Any
    classifier_layers: Any
    """MultiLayerPerceptron: log_softmax(linear(hidden_states)) when it has one layer."""
    beam_search: Any
    ensemble_search: Any


def nemo_source_dir() -> Path:
    """Return the folder that holds NeMo's package `nemo`.

    Raises:
        RuntimeError: it has not been fetched.
    """
    given = os.environ.get(SOURCE_VARIABLE)
    folder = Path(given) if given else FETCHED
    if not (folder / TRANSFORMER.replace(".", "/") / "transformer_generators.py").is_file():
        raise RuntimeError(
            f"no NeMo 1.23.0 in {folder}: run `python tools/fetch_nemo.py`, or set {SOURCE_VARIABLE} to a "
            "folder that holds it"
        )
    return folder


@cache
def nemo_classes() -> NemoClasses:
    """Import NeMo's Transformer once.

    Empty packages stand for those of NeMo that import far more than is needed; they stay in sys.modules.

    Raises:
        RuntimeError: NeMo's sources are missing.
    """
    folder = nemo_source_dir()
    for name in (*_with_parents(PARTS), *_with_parents(TRANSFORMER)):
        add_package(name, folder)
    add_package("nemo.utils", folder).__dict__["logging"] = logging.getLogger("nemo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        return _import_classes()


def _import_classes() -> NemoClasses:
    parts = sys.modules[PARTS]
    shared = importlib.import_module(f"{PARTS}.transformer_utils")
    for name in shared.__all__:
        setattr(parts, name, getattr(shared, name))
    modules = importlib.import_module(f"{TRANSFORMER}.transformer_modules")
    generators = importlib.import_module(f"{TRANSFORMER}.transformer_generators")
    return NemoClasses(
        embedding=modules.TransformerEmbedding,
        encoder=importlib.import_module(f"{TRANSFORMER}.transformer_encoders").TransformerEncoder,
        decoder=importlib.import_module(f"{TRANSFORMER}.transformer_decoders").TransformerDecoder,
        classifier_layers=importlib.import_module(f"{PARTS}.multi_layer_perceptron").MultiLayerPerceptron,
        beam_search=generators.BeamSearchSequenceGenerator,
        ensemble_search=generators.EnsembleBeamSearchSequenceGenerator,
    )


def _with_parents(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[: count + 1]) for count in range(len(words))]


def add_package(name: str, folder: Path) -> ModuleType:
    """An empty package in sys.modules, whose submodules are found below `folder`; the one there if there is one."""
    package = sys.modules.get(name)
    if package is None:
        package = ModuleType(name)
        package.__path__ = [str(folder / name.replace(".", "/"))]
        sys.modules[name] = package
    return package
