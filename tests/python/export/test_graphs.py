"""The ONNX graphs, run by ONNX Runtime, against the torch modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from nmt_trt.export.graph import FP16, PRECISIONS, Precision
from nmt_trt.export.segments import segment_names
from nmt_trt.model_directory import GRAPH_NAMES, export_graphs, graph_file, read_weights, weights_file
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.transformer import Transformer
from nmt_trt.runtime.inputs import pad_rows
from random_models import BOS, PAD, random_sources, write_random_model

TOLERANCE = 1e-4


def session(directory: Path, name: str) -> ort.InferenceSession:
    return ort.InferenceSession(directory / f"{name}.onnx", providers=["CPUExecutionProvider"])


def torch_model(directory: Path, config: TransformerConfig) -> Transformer:
    model = Transformer(config).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in read_weights(directory).items()})
    return model


def empty_cache(config: TransformerConfig, rows: int, slots: int) -> dict[str, np.ndarray]:
    stack = config.decoder
    return {
        f"self_{part}_{layer}": np.zeros((rows, stack.num_heads, slots, stack.head_size), np.float32)
        for layer in range(stack.num_layers)
        for part in "kv"
    }


def run(graph: ort.InferenceSession, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = [output.name for output in graph.get_outputs()]
    return dict(zip(names, graph.run(names, feeds), strict=True))


def next_cache(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removesuffix("_out"): array for name, array in outputs.items() if name.endswith("_out")}


@pytest.mark.parametrize("seed", range(24))
def test_stepwise_logits_equal_teacher_forcing(tmp_path: Path, seed: int) -> None:
    """Prefill of a random prefix, then steps of K independent continuations in shared slots."""
    rng = np.random.default_rng(seed)
    config = write_random_model(tmp_path / "model", seed)
    model = torch_model(tmp_path / "model", config)
    batch, beam, prefix, steps = (int(rng.integers(1, high)) for high in (5, 5, 4, 7))
    ids, lengths = pad_rows(random_sources(config, batch, 12, seed), PAD)
    cross = run(session(tmp_path / "model", "encoder"), {"input_ids": ids, "input_length": lengths})
    tokens = rng.integers(4, config.decoder.vocab_size, (batch, beam, prefix + steps)).astype(np.int32)
    tokens[:, :, :prefix] = tokens[:, :1, :prefix]
    tokens[:, :, 0] = BOS

    with torch.inference_mode():
        memory = model.encode(torch.from_numpy(ids), torch.from_numpy(lengths))
        wanted = np.stack(
            [
                model.decode(torch.from_numpy(tokens[:, k]), memory, torch.from_numpy(lengths)).numpy()
                for k in range(beam)
            ],
            axis=1,
        )  # [B,K,T,V]

    slots = prefix + beam * steps
    cache = empty_cache(config, batch, slots)
    feeds = {"token": tokens[:, 0, :prefix], "prefix_length": np.full(batch, prefix, np.int32)}
    outputs = run(session(tmp_path / "model", "prefill"), {**feeds, **cache, **cross})
    np.testing.assert_allclose(outputs["logits"], wanted[:, 0, prefix - 1], atol=TOLERANCE, rtol=0)

    decoder = session(tmp_path / "model", "decoder")
    bias = np.full((batch, 1, beam, slots), -10000.0, np.float32)
    bias[..., :prefix] = 0.0
    for step in range(steps):
        first = prefix + step * beam
        for k in range(beam):
            bias[:, 0, k, first + k] = 0.0
        outputs = run(
            decoder,
            {
                "token": tokens[:, :, prefix + step],
                "position": np.full(batch, prefix + step, np.int32),
                "write_index": np.full(batch, first, np.int64),
                "self_bias": bias,
                **next_cache(outputs),
                **cross,
            },
        )
        np.testing.assert_allclose(
            outputs["logits"].reshape(wanted[:, :, 0].shape), wanted[:, :, prefix + step], atol=TOLERANCE, rtol=0
        )


def test_prefill_reads_the_logits_of_each_prefix_at_its_own_length(tmp_path: Path) -> None:
    config = write_random_model(tmp_path / "model", 5)
    model = torch_model(tmp_path / "model", config)
    ids, lengths = pad_rows(random_sources(config, 3, 9, 1), PAD)
    cross = run(session(tmp_path / "model", "encoder"), {"input_ids": ids, "input_length": lengths})
    token = np.array([[BOS, 7, 8, 9], [BOS, 5, PAD, PAD], [BOS, PAD, PAD, PAD]], np.int32)
    prefix_length = np.array([4, 2, 1], np.int32)
    outputs = run(
        session(tmp_path / "model", "prefill"),
        {"token": token, "prefix_length": prefix_length, **empty_cache(config, 3, 6), **cross},
    )
    with torch.inference_mode():
        memory = model.encode(torch.from_numpy(ids), torch.from_numpy(lengths))
        wanted = model.decode(torch.from_numpy(token), memory, torch.from_numpy(lengths)).numpy()
    np.testing.assert_allclose(outputs["logits"], wanted[np.arange(3), prefix_length - 1], atol=TOLERANCE, rtol=0)


def test_encoder_ignores_padding(tmp_path: Path) -> None:
    config = write_random_model(tmp_path / "model", 3)
    encoder = session(tmp_path / "model", "encoder")
    rows = random_sources(config, 4, 10, 2)
    ids, lengths = pad_rows(rows, PAD)
    together = run(encoder, {"input_ids": ids, "input_length": lengths})
    for index, row in enumerate(rows):
        alone = run(encoder, {"input_ids": row[None], "input_length": np.array([row.size], np.int32)})
        np.testing.assert_allclose(
            together["cross_k_0"][index, :, : row.size], alone["cross_k_0"][0], atol=TOLERANCE, rtol=0
        )


@pytest.mark.parametrize("seed", range(6))
def test_half_precision_graphs_are_valid_and_close(tmp_path: Path, seed: int) -> None:
    """fp16 graphs pass the checker with full shape inference and give fp32's logits to half precision's digits."""
    config = write_random_model(tmp_path / "model", seed)
    export_graphs(tmp_path / "model", config, FP16)
    ids, lengths = pad_rows(random_sources(config, 3, 9, seed), PAD)
    results = []
    for suffix, dtype in (("", np.float32), (".fp16", np.float16)):
        cross = run(session(tmp_path / "model", f"encoder{suffix}"), {"input_ids": ids, "input_length": lengths})
        cache = {name: array.astype(dtype) for name, array in empty_cache(config, 3, 8).items()}
        feeds = {"token": np.full((3, 1), BOS, np.int32), "prefix_length": np.ones(3, np.int32)}
        outputs = run(session(tmp_path / "model", f"prefill{suffix}"), {**feeds, **cache, **cross})
        allowed = np.where(np.eye(2, 8, 1) + (np.arange(8) == 0), 0.0, -10000.0)
        step: dict[str, np.ndarray] = {
            "token": np.full((3, 2), 5, np.int32),
            "position": np.ones(3, np.int32),
            "write_index": np.ones(3, np.int64),
            "self_bias": allowed[None, None].repeat(3, 0).astype(np.float32),
        }
        outputs = run(session(tmp_path / "model", f"decoder{suffix}"), {**step, **next_cache(outputs), **cross})
        assert outputs["logits"].dtype == np.float32
        results.append(outputs["logits"])
    scale = np.abs(results[0]).max()
    np.testing.assert_allclose(results[1], results[0], atol=0.02 * scale, rtol=0)


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=list(PRECISIONS))
def test_weights_are_stored_once(tmp_path: Path, precision: Precision) -> None:
    """The graphs hold no weight data of their own: they point into the precision's weights file."""
    for name, model in exported(tmp_path / "model", 1, precision).items():
        inline = [t for t in model.graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
        assert sum(int(np.prod(t.dims)) for t in inline) < 200, name
        places = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
        assert places == {weights_file(precision)}


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=list(PRECISIONS))
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_computed_twice(tmp_path: Path, seed: int, precision: Precision) -> None:
    for name, model in exported(tmp_path / "model", seed, precision).items():
        nodes = [
            (node.op_type, *node.input, *(a.SerializeToString() for a in node.attribute)) for node in model.graph.node
        ]
        assert len(set(nodes)) == len(nodes), name


def exported(directory: Path, seed: int, precision: Precision) -> dict[str, onnx.ModelProto]:
    """Every graph of a precision, checked when it was written."""
    config = write_random_model(directory, seed)
    export_graphs(directory, config, precision)
    files = {name: directory / graph_file(name, precision) for name in (*GRAPH_NAMES, *segment_names(config))}
    return {name: onnx.load(path, load_external_data=False) for name, path in files.items()}


def test_layers_give_their_names_to_their_tensors(tmp_path: Path) -> None:
    config = write_random_model(tmp_path / "model", 0)
    graphs = [onnx.load(tmp_path / "model" / graph_file(name), load_external_data=False) for name in GRAPH_NAMES[:2]]
    tensors = {output for graph in graphs for node in graph.graph.node for output in node.output}
    weights = {name.rpartition(".")[0] for name in read_weights(tmp_path / "model") if "embedding.t" not in name}
    tables = {"encoder.embedding.position", "decoder.embedding.position", "output"}
    assert weights - tables <= tensors
    assert {f"decoder.layers.{i}.cross_attention.context" for i in range(config.decoder.num_layers)} <= tensors
