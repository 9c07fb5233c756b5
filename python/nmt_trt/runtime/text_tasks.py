"""What a text worker does: all that runs in its process, and the form in which texts and ids get there and back."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nmt_trt.errors import Error
from nmt_trt.models.config import TransformerConfig
from nmt_trt.text.pipeline import TextPipeline

Answer = TypeVar("Answer")
Packed = tuple[np.ndarray, list[int]]
"""Rows of ids as they travel: int32 of all rows one behind the other, and how many ids each row has."""
Encode = Callable[[TextPipeline, list[str]], list[list[int]]]


@dataclass(frozen=True)
class TextRecipe:
    """What a TextPipeline is made of, which cannot travel itself.

    Attributes:
        config: the model's.
        files: contents of its tokenizer files by name.
        source_language, target_language: as for TextPipeline.with_languages.
    """

    config: TransformerConfig
    files: Mapping[str, bytes]
    source_language: str | None = None
    target_language: str | None = None

    def make(self) -> TextPipeline:
        """The pipeline.

        Raises:
            Error: see TextPipeline and its with_languages.
        """
        return TextPipeline(self.config, self.files).with_languages(self.source_language, self.target_language)

    def write(self) -> Path:
        """A new file, which only its owner may read, for `begin`.

        Raises:
            OSError: it cannot be written.
        """
        descriptor, name = tempfile.mkstemp(prefix="nmt_trt-texts-")
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                pickle.dump(self, stream)
        except BaseException:
            path.unlink()
            raise
        return path


_recipe: Path
_pipeline: TextPipeline | None = None


def begin(recipe: Path) -> None:
    """Called first in each worker, with what TextRecipe.write() has written.

    A process is handed no more than its name: what is too large for a pipe would block the starting process for ever
    if this one ends before it has read that. It must not fail, which concurrent.futures answers with a traceback on
    stderr.
    """
    global _recipe
    _recipe = recipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def serve(call: Callable[..., Answer], *given: Any) -> Answer:
    """`call(pipeline, *given)` with the worker's pipeline, which the first call makes."""
    global _pipeline
    if _pipeline is None:
        _pipeline = pickle.loads(_recipe.read_bytes()).make()
    return call(_pipeline, *given)


def warm_up(pipeline: TextPipeline) -> None:
    """Load what the languages need. If that fails, so will the first text, which tells."""
    with suppress(Error):
        pipeline.encode("a")
        pipeline.decode([])


def encode_sources(pipeline: TextPipeline, texts: list[str]) -> list[list[int]]:
    """pipeline.encode(text) of each text."""
    return [pipeline.encode(text) for text in texts]


def encode_targets(pipeline: TextPipeline, texts: list[str]) -> list[list[int]]:
    """pipeline.encode_target(text) of each text."""
    return [pipeline.encode_target(text) for text in texts]


def packed(pipeline: TextPipeline, encode: Encode, texts: list[str]) -> Packed:
    """What `encode` gives, packed."""
    rows = encode(pipeline, texts)
    lengths = [len(row) for row in rows]
    return np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=sum(lengths)), lengths


def decode_packed(pipeline: TextPipeline, rows: Packed) -> list[str]:
    """pipeline.decode(tokens) of each row."""
    return [pipeline.decode(row.tolist()) for row in unpack(rows)]


def pack(rows: Sequence[np.ndarray]) -> Packed:
    """Rows of int32, at least one, in the form that costs least to send."""
    return np.concatenate(rows), [row.size for row in rows]


def unpack(rows: Packed) -> list[np.ndarray]:
    """The rows, int32."""
    ids, lengths = rows
    return [ids[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]


def _end_with_parent() -> None:
    """A process that is killed cannot end its workers, and they would wait for it for ever; nor remove the file."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _recipe.unlink(missing_ok=True)
        os._exit(1)
