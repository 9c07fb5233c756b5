"""The text code of the real NeMo 1.23.0, run from its sources without the packages that all of NeMo needs.

Its tokenizers and processors are imported as they are; of MTEncDecModel, whose module imports everything,
only the methods that handle text are compiled.
"""

from __future__ import annotations

import ast
import collections
import importlib
import logging
import sys
import typing
import warnings
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from nemo_reference.loader import SOURCE_VARIABLE, add_package, nemo_source_dir

MODEL = "nemo/collections/nlp/models/machine_translation/mt_enc_dec_model.py"
TOKENIZERS = "nemo.collections.common.tokenizers"
MODULES = (
    "tokenizer_spec",
    "sentencepiece_tokenizer",
    "bytelevel_tokenizers",
    "chinese_tokenizers",
    "en_ja_tokenizers",
    "indic_tokenizers",
    "moses_tokenizers",
)
METHODS = frozenset({
    "setup_enc_dec_tokenizers",
    "setup_multilingual_ids_and_processors",
    "setup_pre_and_post_processing_utils",
    "ids_to_postprocessed_text",
    "prepare_inference_batch",
    "filter_predicted_ids",
})  # fmt: skip


class ListConfig(list[str]):
    """Stands for OmegaConf's list, by which NeMo knows a multilingual side."""


def text_sources() -> Path:
    """The folder of NeMo's package with its text code.

    Raises:
        RuntimeError: it has not been fetched, or only in part.
    """
    folder = nemo_source_dir()
    needed = [MODEL, *(f"{TOKENIZERS.replace('.', '/')}/{name}.py" for name in MODULES)]
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise RuntimeError(
            f"{folder} lacks {', '.join(missing)}: run `python tools/fetch_nemo.py`, or set {SOURCE_VARIABLE} to a "
            "folder that holds all of NeMo 1.23.0"
        )
    return folder


@cache
def nemo_text_model() -> Any:
    """NeMo's MTEncDecModel with nothing but METHODS.

    Raises:
        RuntimeError: NeMo's sources are missing.
    """
    folder = text_sources()
    words = TOKENIZERS.split(".")
    for count in range(1, len(words) + 1):
        add_package(".".join(words[:count]), folder)
    add_package("nemo.collections.common.parts", folder)
    add_package("nemo.utils", folder).__dict__["logging"] = logging.getLogger("nemo")
    utilities = ModuleType("nemo.collections.common.parts.utils")
    utilities.__dict__["if_exist"] = None
    sys.modules.setdefault(utilities.__name__, utilities)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _model_class(folder)


def _model_class(folder: Path) -> Any:
    names: dict[str, Any] = {}
    for name in MODULES:
        names |= vars(importlib.import_module(f"{TOKENIZERS}.{name}"))
        sys.modules[TOKENIZERS].__dict__["TokenizerSpec"] = names["TokenizerSpec"]

    def get_nmt_tokenizer(library: str, tokenizer_model: str, legacy: bool, special_tokens: Any, **_: Any) -> Any:
        if library == "byte-level":
            return names["ByteLevelTokenizer"](special_tokens)
        return names["SentencePieceTokenizer"](model_path=tokenizer_model, legacy=legacy)

    tree = ast.parse((folder / MODEL).read_text(encoding="utf-8"))
    model = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "MTEncDecModel")
    model.bases = []
    model.body = [node for node in model.body if isinstance(node, ast.FunctionDef) and node.name in METHODS]
    names |= {"torch": torch, "np": np, "ListConfig": ListConfig, "OrderedDict": collections.OrderedDict}
    names |= {"List": typing.List, "get_nmt_tokenizer": get_nmt_tokenizer}  # noqa: UP006
    exec(compile(ast.Module([model], []), MODEL, "exec"), names)
    return names["MTEncDecModel"]
