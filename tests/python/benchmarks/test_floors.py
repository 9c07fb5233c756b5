"""The floors of a decoder step, against what arrays, weight files and torch's counter of operations say."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

from nmt_trt.models.transformer import AttentionMask, DecoderLayer, exact_attention

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks" / "gpu"))

from floors import floor_us, step_bytes, step_flops
from synthetic import Size, endless_weights, write_endless_model
from torch_decoder import transformer

Array = npt.NDArray[Any]
SIZE = Size(layers=3, hidden=32, inner=72, heads=4, vocabulary=50, positions=24)
BATCH, BEAM, SOURCE, STEP = 3, 4, 7, 9


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory of SIZE in float32."""
    path = tmp_path_factory.mktemp("floors") / "model"
    write_endless_model(path, SIZE, precision="fp32")
    return path


def test_weights_are_those_of_the_file(directory: Path) -> None:
    """All of the decoder's but those that make the source's keys and values, and one position's row."""
    counted = 0
    with safe_open(directory / "weights.safetensors", framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118  (not a mapping)
            array = file.get_tensor(name)
            if name.startswith("encoder.") or "cross_attention.kv" in name:
                continue
            counted += array[0].nbytes if name == "decoder.embedding.position.weight" else array.nbytes
    assert step_bytes(SIZE, BATCH, BEAM, SOURCE, STEP, element_bytes=4).weights == counted
    assert step_bytes(SIZE, BATCH, BEAM, SOURCE, STEP).weights == counted // 2


def test_attention_and_logits_are_the_arrays_of_the_graphs(directory: Path) -> None:
    encoder, decoder = (onnxruntime.InferenceSession(directory / f"{name}.onnx") for name in ("encoder", "decoder"))
    ids, lengths = np.full((BATCH, SOURCE), 5, np.int32), np.full(BATCH, SOURCE, np.int32)
    encoded = run(encoder, input_ids=ids, input_length=lengths)
    heads, slots = SIZE.heads, BEAM * (STEP + 1)
    cache = np.zeros((BATCH, heads, slots, SIZE.hidden // heads), np.float32)
    outputs = run(
        decoder,
        token=np.full((BATCH, BEAM), 5, np.int32),
        position=np.full(BATCH, STEP, np.int32),
        write_index=np.full(BATCH, BEAM * STEP, np.int64),
        self_bias=np.zeros((BATCH, 1, BEAM, slots), np.float32),
        **{f"self_{part}_{layer}": cache for part in "kv" for layer in range(SIZE.layers)},
        **encoded,
    )
    caches = {name: array for name, array in outputs.items() if name.startswith("self_")}
    written = sum(array[array != 0].nbytes for array in caches.values())
    cross = sum(array.nbytes for name, array in encoded.items() if name != "cross_bias")

    one_slot = sum(array[:, :, :1].nbytes for array in caches.values())
    read = one_slot * (1 + (STEP - 1) * BEAM)  # the start token's slot, and those of all hypotheses behind it
    found = step_bytes(SIZE, BATCH, BEAM, SOURCE, STEP, ancestors=BEAM, element_bytes=4)
    assert len(caches) == 2 * SIZE.layers and len(encoded) == 2 * SIZE.layers + 1
    assert found.self_attention == read + written
    assert found.cross_attention == cross
    assert found.logits == 2 * outputs["logits"].nbytes
    assert found.total == sum(dataclasses.asdict(found).values())


def run(session: onnxruntime.InferenceSession, **inputs: Array) -> dict[str, Array]:
    """The outputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


@pytest.mark.parametrize("step", range(4))
def test_ancestors_are_the_slots_that_are_read(step: int) -> None:
    """Slots as docs/design.md numbers them; their number lies between the two ends, and both are reached."""

    def slots(ancestry: npt.NDArray[np.int64]) -> int:
        behind = {(i + 1) * BEAM + k for row in ancestry for i, k in enumerate(row[: step - 1])}
        return len({0} | behind) if step > 0 else 0

    def read(ancestors: int) -> int:
        found = step_bytes(SIZE, 1, BEAM, SOURCE, step, ancestors=ancestors).self_attention
        key_and_value = 2 * SIZE.hidden * 2 * SIZE.layers
        assert found % key_and_value == 0
        return found // key_and_value - BEAM

    shared = np.zeros((BEAM, step), int)
    apart = np.tile(np.arange(BEAM)[:, None], step)
    some = np.random.default_rng(step).integers(0, BEAM, (BEAM, step))
    assert slots(shared) == read(1)
    assert slots(apart) == read(BEAM)
    assert read(1) <= slots(some) <= read(BEAM)


@pytest.mark.parametrize("step", [0, STEP])
def test_operations_are_those_that_torch_counts(step: int) -> None:
    model = transformer(SIZE.config(), endless_weights(SIZE.config(), 0))
    rows, heads = BATCH * BEAM, SIZE.heads
    past = torch.zeros(rows, heads, step, SIZE.hidden // heads)
    source = torch.zeros(rows, heads, SOURCE, SIZE.hidden // heads)
    states = model.decoder.embedding(torch.full((rows, 1), 5), model.target_table)
    with FlopCounterMode(display=False) as counter:
        for layer in model.decoder.layers:
            assert isinstance(layer, DecoderLayer)
            query, key, value = layer.self_attention.split(layer.self_attention.qkv(states), 3)
            keys, values = torch.cat([past, key], 2), torch.cat([past, value], 2)
            states = joined(layer.self_attention, states, exact_attention(query, keys, values, AttentionMask()))
            (query,) = layer.cross_attention.split(layer.cross_attention.q(states), 1)
            states = joined(layer.cross_attention, states, exact_attention(query, source, source, AttentionMask()))
            states = layer.ffn(states)
        model.project(states)
    assert step_flops(SIZE, BATCH, BEAM, SOURCE, step) == counter.get_total_flops()


def joined(block: torch.nn.Module, states: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """What a post-LN attention block makes of its input [R,1,H] and its heads' results [R,heads,1,D]."""
    result: torch.Tensor = block.leave(states, block.out(context.reshape(states.shape)))  # type: ignore[operator]
    return result


def test_the_floor_is_the_larger_of_the_two_times() -> None:
    moved = step_bytes(SIZE, BATCH, BEAM, SOURCE, STEP).total
    computed = step_flops(SIZE, BATCH, BEAM, SOURCE, STEP)

    def floor(bandwidth: float, flops_per_second: float) -> float:
        return floor_us(SIZE, BATCH, BEAM, SOURCE, STEP, bandwidth=bandwidth, flops_per_second=flops_per_second)

    assert floor(moved, 100 * computed) == pytest.approx(1e6)
    assert floor(100 * moved, computed * 2) == pytest.approx(5e5)
