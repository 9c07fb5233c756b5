"""Turns whatever a caller gives as token ids into checked int32 rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from nmt_trt.errors import SourceError, UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.option_checks import check_number
from nmt_trt.options import MAX_SEED
from nmt_trt.text.pipeline import text_problem

SourceIds = npt.NDArray[Any] | Sequence[Sequence[int]] | Sequence[npt.NDArray[Any]] | Any
"""[B,S] right-padded (numpy, or any tensor that speaks DLPack, on any device), or a ragged list of rows."""

Row = npt.NDArray[np.int32]


def source_rows(src_ids: SourceIds, config: TransformerConfig) -> list[Row]:
    """The sentences of a batch as int32 arrays without padding.

    Raises:
        SourceError: a sentence that is not a row of integers, is empty, has padding inside, has an id outside the
            vocabulary, or is longer than the encoder's positions.
        UsageError: not a batch at all.
    """
    rows = _split_rows("src_ids", src_ids)
    if _are_plain(rows, config):
        return [row.astype(np.int32) for row in rows]
    return [_checked_row(index, row, config) for index, row in enumerate(rows)]


def source_texts(name: str, texts: Any) -> list[str]:
    """Texts as strings of no class of their own.

    Raises:
        SourceError: one of them is none, or cannot be encoded.
        UsageError: not a list of texts.
    """
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        raise UsageError(f"{name} must be a list of texts; given {type(texts).__name__}")
    given = list(texts)
    for index, text in enumerate(given):
        problem = text_problem(text)
        if problem is not None:
            raise SourceError(index, problem, name=name)
    return [str.__str__(text) for text in given]


def _split_rows(name: str, ids: SourceIds) -> list[npt.NDArray[Any]]:
    if isinstance(ids, (str, bytes)):
        raise UsageError(f"{name} must be token ids [batch, length]; given text, which translate() takes")
    if isinstance(ids, (list, tuple)):
        return [_as_array(name, row) for row in ids]
    array = _as_array(name, ids)
    if array.ndim != 2:
        raise UsageError(f"{name} must have two dimensions [batch, length]; given shape {array.shape}")
    return list(array)


def _as_array(name: str, values: Any) -> npt.NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "__dlpack__"):
        return _from_dlpack(name, values)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"{name} must be integers [batch, length]; given {type(values).__name__}") from error
    return array.astype(np.int32) if array.size == 0 else array


def _from_dlpack(name: str, values: Any) -> npt.NDArray[Any]:
    """A tensor's values in host memory. Of a GPU's tensor the producer makes the copy, behind its own work on it."""
    try:
        try:
            return np.from_dlpack(values, device="cpu")
        except TypeError:  # from before DLPack 1.0, whose producers cannot be asked for a copy
            return np.from_dlpack(values)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"{name} cannot be read from this {type(values).__name__}: {error}") from error


def _are_plain(rows: Sequence[npt.NDArray[Any]], config: TransformerConfig) -> bool:
    """Whether nothing is to be said of any of them, and nothing cut off: a look at all at once, ten times as fast as at
    each. False where that cannot be told so.
    """
    most = config.encoder.max_positions
    if not rows or any(row.ndim != 1 or not 1 <= row.size <= most for row in rows):
        return False
    if {row.dtype for row in rows} - {np.dtype(np.int32), np.dtype(np.int64)}:
        return False
    ids = np.concatenate(rows)
    return bool(
        ids.min() >= 0 and ids.max() < config.encoder.vocab_size and not (ids == config.source_tokens.pad).any()
    )


def _checked_row(index: int, row: npt.NDArray[Any], config: TransformerConfig) -> Row:
    if row.ndim != 1:
        raise SourceError(index, f"must be a row of token ids; given shape {row.shape}")
    if row.dtype.kind not in "iu":
        raise SourceError(index, f"must hold integers; given {row.dtype}")
    pad, vocabulary = config.source_tokens.pad, config.encoder.vocab_size
    kept = np.flatnonzero(row != pad)
    if kept.size == 0:
        raise SourceError(index, f"is empty; a source holds at least one token that is not padding ({pad})")
    trimmed = row[: kept[-1] + 1]
    if kept.size != trimmed.size:
        raise SourceError(index, f"has padding ({pad}) before its end; sources must be padded on the right")
    low, high = int(trimmed.min()), int(trimmed.max())
    if low < 0 or high >= vocabulary:
        raise SourceError(index, f"has an id outside 0..{vocabulary - 1}: {low if low < 0 else high}")
    if trimmed.size > config.encoder.max_positions:
        raise SourceError(index, f"has {trimmed.size} tokens; the model's limit is {config.encoder.max_positions}")
    return trimmed.astype(np.int32)


def target_rows(name: str, tgt_ids: SourceIds, config: TransformerConfig) -> list[Row]:
    """Tokens of translations as int32 arrays without padding; any of them may be empty.

    Raises:
        SourceError: not a row of integers, an id outside the vocabulary, padding inside, or EOS before the end.
    """
    return [_checked_target(name, index, row, config) for index, row in enumerate(_split_rows(name, tgt_ids))]


def _checked_target(name: str, index: int, row: npt.NDArray[Any], config: TransformerConfig) -> Row:
    def refuse(problem: str) -> NoReturn:
        raise SourceError(index, problem, name=name)

    if row.ndim != 1 or row.dtype.kind not in "iu":
        refuse(f"must be a row of token ids; given {row.dtype} of shape {row.shape}")
    tokens, vocabulary = config.special_tokens, config.decoder.vocab_size
    kept = np.flatnonzero(row != tokens.pad)
    trimmed = row[: kept[-1] + 1] if kept.size else row[:0]
    if kept.size != trimmed.size:
        refuse(f"has padding ({tokens.pad}) before its end")
    outside = trimmed[(trimmed < 0) | (trimmed >= vocabulary)]
    if outside.size:
        refuse(f"has an id outside 0..{vocabulary - 1}: {outside[0]}")
    if tokens.eos in trimmed[:-1]:
        refuse(f"has EOS ({tokens.eos}) before its end")
    return trimmed.astype(np.int32)


def check_count(name: str, given: int, sentences: int) -> None:
    """Raise UsageError unless there is one for each sentence."""
    if given != sentences:
        raise UsageError(f"{name} must have one for each of {sentences} sentences; given {given}")


def check_first_number(given: Any) -> None:
    """Raise UsageError unless sentences can be numbered from it."""
    check_number("first_number", given, 0, MAX_SEED)


def pad_rows(rows: Sequence[Row], pad: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Rows -> (ids [B,S] padded on the right, lengths [B]), both int32."""
    lengths = np.array([row.size for row in rows], dtype=np.int32)
    ids = np.full((len(rows), int(lengths.max())), pad, dtype=np.int32)
    for target, row in zip(ids, rows, strict=True):
        target[: row.size] = row
    return ids, lengths
