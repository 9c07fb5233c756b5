"""The decoder session's buffers between steps: caches written in place, inputs and logits bound once a shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from nmt_trt.models.config import StackConfig

Array = npt.NDArray[np.generic]
FloatArray = npt.NDArray[np.float32]
Numbers = TypeVar("Numbers", Array, FloatArray)


class CacheBuffers:
    """Memory for caches that outlives a batch: touching fresh pages costs more than the copying that fills them.

    Every cache has two buffers, used by turns, so that one can be copied to a larger shape from the other.
    """

    def __init__(self) -> None:
        self._pairs: dict[str, tuple[FloatArray, FloatArray]] = {}

    def turn(self, name: str, shape: tuple[int, ...]) -> FloatArray:
        """The buffer of cache `name` that was not handed out last, as float32 `shape`; it holds anything."""
        empty = np.empty(0, dtype=np.float32)
        current, spare = self._pairs.get(name, (empty, empty))
        size = math.prod(shape)
        if spare.size < size:
            spare = np.empty(size, dtype=np.float32)
        self._pairs[name] = (spare, current)
        return spare[:size].reshape(shape)


class DecoderState:
    """Everything that one batch's decoder steps read and write, for R sentences, K beams and N cache slots.

    Keys and values are kept as [R,H,N,dh]; the graph's TensorScatter writes them in place because the same buffer is
    bound as input and output. Hypotheses are never moved: which slots each one attends to is in `self_bias`.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        stack: StackConfig,
        buffers: CacheBuffers,
        cross: Mapping[str, Array],
        beam_size: int,
        slots: int,
    ) -> None:
        """`cross` is taken over: rows are dropped from it in place."""
        self._session = session
        self._gives_attention = any(output.name == "attention" for output in session.get_outputs())
        self._buffers = buffers
        self._stack = stack
        self._cross = dict(cross)
        rows = cross["cross_bias"].shape[0]
        self._cache = {
            name: buffers.turn(name, (rows, stack.num_heads, slots, stack.head_size))
            for name in (f"self_{part}_{layer}" for layer in range(stack.num_layers) for part in "kv")
        }
        for cache in self._cache.values():
            cache.fill(0)
        self._bind(rows, beam_size, slots)

    @property
    def slots(self) -> int:
        """N, the number of cache slots a sentence has."""
        return self._self_bias.shape[3]

    @property
    def self_bias(self) -> FloatArray:
        """float32 [R,1,K,N]: what to add to the self-attention scores of the next step; the caller fills it."""
        return self._self_bias

    def step(self, token: npt.NDArray[np.int32], position: int, write_index: int) -> FloatArray:
        """Run one step of `token` [R,K] at `position`, writing slots `write_index` to `write_index` + K - 1.

        Returns logits float32 [R,K,V], valid until the next step.
        """
        np.copyto(self._token, token)
        self._position.fill(position)
        self._write_index.fill(write_index)
        self._session.run_with_iobinding(self._binding)
        return self._logits

    @property
    def attention(self) -> FloatArray:
        """float32 [R,K,S]: what the last step attended to; of no columns with a graph that does not give it."""
        return self._attention

    def keep_rows(self, kept: npt.NDArray[np.int32]) -> None:
        """Drop the sentences that are not in `kept` (ascending row numbers)."""
        self._cross = {name: _moved_up(array, kept) for name, array in self._cross.items()}
        self._cache = {name: _moved_up(array, kept) for name, array in self._cache.items()}
        self._bind(len(kept), self._token.shape[1], self.slots)

    def reshape(self, beam_size: int, slots: int) -> None:
        """Change K or make room for more slots; what the caches hold stays."""
        for name, old in self._cache.items():
            if old.shape[2] != slots:
                grown = self._buffers.turn(name, (*old.shape[:2], slots, old.shape[3]))
                grown[:, :, : old.shape[2]] = old
                grown[:, :, old.shape[2] :] = 0
                self._cache[name] = grown
        self._bind(self._token.shape[0], beam_size, slots)

    def spread_start(self, beam_size: int) -> None:
        """Give each beam k of sentence b the start token's slot of sentence (b*K + k) mod B: NeMo's batch leak."""
        rows = self._token.shape[0]
        donors = np.arange(rows * beam_size).reshape(rows, beam_size) % rows
        for cache in self._cache.values():
            cache[:, :, :beam_size] = cache[:, :, 0][donors].transpose(0, 2, 1, 3)

    def _bind(self, rows: int, beam_size: int, slots: int) -> None:
        self._token = np.zeros((rows, beam_size), dtype=np.int32)
        self._position = np.zeros(rows, dtype=np.int32)
        self._write_index = np.zeros(rows, dtype=np.int64)
        self._self_bias = np.zeros((rows, 1, beam_size, slots), dtype=np.float32)
        self._logits = np.empty((rows, beam_size, self._stack.vocab_size), dtype=np.float32)
        inputs: dict[str, Array] = {
            "token": self._token,
            "position": self._position,
            "write_index": self._write_index,
            "self_bias": self._self_bias,
            **self._cross,
            **self._cache,
        }
        outputs: dict[str, Array] = {"logits": self._logits.reshape(rows * beam_size, -1)}
        source = self._cross["cross_bias"].shape[3] if self._gives_attention else 0
        self._attention = np.empty((rows, beam_size, source), dtype=np.float32)
        if self._gives_attention:
            outputs["attention"] = self._attention
        outputs |= {f"{name}_out": array for name, array in self._cache.items()}
        self._binding = self._session.io_binding()
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            self._binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))


def _moved_up(array: Numbers, kept: npt.NDArray[np.int32]) -> Numbers:
    """The rows `kept` (ascending) of an array, moved to its beginning in place."""
    for new, old in enumerate(kept):
        if new != old:
            array[new] = array[old]
    return array[: len(kept)]
