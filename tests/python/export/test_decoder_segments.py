"""The decoder cut around its attentions, against the whole decoder in ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from export.segment_models import Arrays, Graphs, export, interface, random_islands
from nmt_trt.export.decoder_segments import decoder_segment_names
from nmt_trt.export.graph import BF16, FP16, FP32, PRECISIONS, Precision
from nmt_trt.models.config import TransformerConfig
from nmt_trt.runtime.inputs import pad_rows
from random_models import BOS, PAD, random_config, random_sources

MASKED = -10000.0


@dataclass(frozen=True)
class Search:
    """What a beam search of B sentences with K hypotheses feeds: ids [B,S], tokens [B,T,K], and ancestry [T,B,K,T].

    ancestry[j, b, k, i] is the hypothesis of step i that hypothesis k comes from at step j; i <= j.
    """

    ids: np.ndarray
    lengths: np.ndarray
    tokens: np.ndarray
    ancestry: np.ndarray


def random_search(config: TransformerConfig, seed: int) -> Search:
    rng = np.random.default_rng(seed)
    batch, beam, steps = int(rng.integers(1, 4)), int(rng.integers(1, 5)), int(rng.integers(2, 7))
    ids, lengths = pad_rows(random_sources(config, batch, 9, seed), PAD)
    tokens = rng.integers(4, config.decoder.vocab_size, (batch, steps, beam)).astype(np.int32)
    tokens[:, 0] = BOS
    ancestry = np.zeros((steps, batch, beam, steps), np.int64)
    for step in range(steps):
        if step:
            parents = rng.integers(beam, size=(batch, beam, 1))
            ancestry[step] = np.take_along_axis(ancestry[step - 1], parents, axis=1)
        ancestry[step, :, :, step] = np.arange(beam)
    return Search(ids, lengths, tokens, ancestry)


def whole_logits(graphs: Graphs, search: Search) -> np.ndarray:
    """float32 [T,B*K,V] by decoder.onnx, which attends through a bias over all slots."""
    stack, (batch, steps, beam) = graphs.config.decoder, search.tokens.shape
    dtype = onnx.helper.tensor_dtype_to_np_dtype(graphs.precision.compute)
    shape = (batch, stack.num_heads, steps * beam, stack.head_size)
    cache = {f"self_{p}_{index}": np.zeros(shape, dtype) for index in range(stack.num_layers) for p in "kv"}
    cross = graphs.run("encoder", {"input_ids": search.ids, "input_length": search.lengths})
    logits = []
    for step in range(steps):
        bias = np.full((batch, 1, beam, steps * beam), MASKED, np.float32)
        slots = np.arange(step + 1) * beam + search.ancestry[step, :, :, : step + 1]
        np.put_along_axis(bias[:, 0], slots, 0.0, axis=2)
        feeds = {
            "token": search.tokens[:, step],
            "position": np.full(batch, step, np.int32),
            "write_index": np.full(batch, step * beam, np.int64),
            "self_bias": bias,
        }
        outputs = graphs.run("decoder", {**feeds, **cache, **cross})
        cache = {name: outputs[f"{name}_out"] for name in cache}
        logits.append(outputs["logits"].astype(np.float32))
    return np.stack(logits)


class Attentions:
    """What the CUDA kernels do between the segments, in numpy: products and softmax in float32."""

    def __init__(self, graphs: Graphs, search: Search) -> None:
        self.stack, self.search = graphs.config.decoder, search
        self.cross = graphs.run("encoder", {"input_ids": search.ids, "input_length": search.lengths})
        self.caches: Arrays = {}

    def heads(self, rows: np.ndarray) -> np.ndarray:
        """[B*K,d] -> [B,H,K,dh]"""
        batch, _, beam = self.search.tokens.shape
        return rows.reshape(batch, beam, self.stack.num_heads, self.stack.head_size).transpose(0, 2, 1, 3)

    def to_past(self, index: int, step: int, qkv: np.ndarray) -> np.ndarray:
        """Append to layer `index`'s cache [B,H,slots,dh]; each hypothesis then reads the slots of its ancestry."""
        query, *new = (self.heads(part) for part in np.split(qkv, 3, axis=1))
        _, _, beam = self.search.tokens.shape
        slots = np.arange(step + 1) * beam + self.search.ancestry[step, :, :, : step + 1]  # [B,K,T]
        for part, x in zip("kv", new, strict=True):
            past = [self.caches[f"{part}{index}"]] if step else []
            self.caches[f"{part}{index}"] = np.concatenate([*past, x], axis=2)
        keys, values = (self._of_slots(self.caches[f"{part}{index}"], slots) for part in ("k", "v"))
        return self._attend(query, keys, values, np.zeros((1, 1, 1, 1), np.float32))

    @staticmethod
    def _of_slots(cache: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """[B,H,slots,dh] at slots [B,K,T] -> [B,H,K,T,dh]"""
        return np.stack([own[:, chosen] for own, chosen in zip(cache, slots, strict=True)])

    def to_source(self, index: int, query: np.ndarray) -> np.ndarray:
        keys, values = (self.cross[f"cross_{part}_{index}"][:, :, None] for part in ("k", "v"))
        bias = np.where(np.arange(keys.shape[3]) < self.search.lengths[:, None], 0.0, -np.inf).astype(np.float32)
        return self._attend(self.heads(query), keys, values, bias[:, None, None])

    def _attend(self, query: np.ndarray, keys: np.ndarray, values: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """query [B,H,K,dh] over keys and values [B,H,K or 1,N,dh] -> [B*K,d] of the query's type."""
        q, k, v = (x.astype(np.float32) for x in (query[:, :, :, None], keys, values))
        scores = (q * k).sum(-1) * np.float32(self.stack.head_size**-0.5) + bias
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights[..., None] * v).sum(-2).astype(query.dtype)
        return np.ascontiguousarray(mixed.transpose(0, 2, 1, 3).reshape(-1, self.stack.hidden_size))


def segment_logits(graphs: Graphs, search: Search) -> np.ndarray:
    """float32 [T,B*K,V] by the segments, with attention in numpy."""
    attentions, (first, *others) = Attentions(graphs, search), decoder_segment_names(graphs.config)
    _, steps, _ = search.tokens.shape
    logits = []
    for step in range(steps):
        feeds = {"token": search.tokens[:, step].reshape(-1), "position": np.array([step], np.int32)}
        outputs = graphs.run(first, feeds)
        for index, name in enumerate(others):
            if index % 2:
                attention = attentions.to_source(index // 2, outputs["query"])
            else:
                attention = attentions.to_past(index // 2, step, outputs["qkv"])
            outputs = graphs.run(name, {"attention": attention, "residual": outputs["residual_out"]})
        logits.append(outputs["logits"].astype(np.float32))
    return np.stack(logits)


@pytest.mark.parametrize("seed", range(40))
def test_segments_give_the_whole_decoders_logits(tmp_path: Path, seed: int) -> None:
    graphs = export(tmp_path / "model", seed, FP32)
    search = random_search(graphs.config, seed)
    np.testing.assert_allclose(segment_logits(graphs, search), whole_logits(graphs, search), atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_half_precision_segments_are_close(tmp_path: Path, seed: int) -> None:
    """To the whole decoder in fp16, which rounds at the same places, and to fp32's logits."""
    wide, half = (export(tmp_path / precision.name, seed, precision) for precision in (FP32, FP16))
    search = random_search(wide.config, seed)
    logits, wanted = segment_logits(half, search), whole_logits(wide, search)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(logits, wanted, atol=0.005 * scale, rtol=0)
    np.testing.assert_allclose(logits, whole_logits(half, search), atol=0.001 * scale, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_bf16_segments_are_close(tmp_path: Path, seed: int) -> None:
    """In ONNX's reference implementation: ONNX Runtime has no bf16 on the CPU."""
    wide, low = (export(tmp_path / precision.name, seed, precision) for precision in (FP32, BF16))
    search = random_search(wide.config, seed)
    logits, wanted = segment_logits(low, search), whole_logits(wide, search)
    np.testing.assert_allclose(logits, wanted, atol=0.03 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("seed", range(20))
def test_islands_apply_to_the_segments(tmp_path: Path, seed: int) -> None:
    """Random powers of two on every tensor and random float32 blocks leave the logits as they are."""
    config = random_config(seed)
    islands = random_islands(config, seed)
    wide = export(tmp_path / "fp32", seed, FP32)
    half = export(tmp_path / "fp16", seed, FP16, islands)
    search = random_search(config, seed)
    logits, wanted = segment_logits(half, search), whole_logits(wide, search)
    np.testing.assert_allclose(logits, wanted, atol=0.005 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=list(PRECISIONS))
@pytest.mark.parametrize("seed", range(4))
def test_names_types_and_shapes(tmp_path: Path, seed: int, precision: Precision) -> None:
    graphs = export(tmp_path / "model", seed, precision)
    stack, number = graphs.config.decoder, precision.compute
    width, last = stack.hidden_size, 2 * stack.num_layers
    state = {"residual_out": (TensorProto.FLOAT, ["R", width])}
    qkv, query = {"qkv": (number, ["R", 3 * width])}, {"query": (number, ["R", width])}
    assert decoder_segment_names(graphs.config) == tuple(f"decoder_{index}" for index in range(last + 1))
    for index, name in enumerate(decoder_segment_names(graphs.config)):
        graph = graphs.model(name).graph
        assert interface(graph.input) == (
            {"token": (TensorProto.INT32, ["R"]), "position": (TensorProto.INT32, [1])}
            if index == 0
            else {"attention": (number, ["R", width]), "residual": (TensorProto.FLOAT, ["R", width])}
        )
        assert interface(graph.output) == (
            {"logits": (TensorProto.FLOAT, ["R", stack.vocab_size])}
            if index == last
            else state | (query if index % 2 else qkv)
        )
