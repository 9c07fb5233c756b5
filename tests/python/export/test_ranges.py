"""Bounds of a model's values: they hold, the worst case reaches them, and exponents follow from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmt_trt.errors import ModelDirectoryError
from nmt_trt.export.graph import BF16, FP16
from nmt_trt.export.islands import Islands, attention_blocks, linear_layers
from nmt_trt.export.low_weights import low_weights
from nmt_trt.export.planning import FP16_ROOM, plan_islands
from nmt_trt.export.ranges import Ranges, Reach
from nmt_trt.export.stored_islands import read_float32_blocks, write_float32_blocks
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import output_table
from random_models import random_config, random_weights

FP16_MAX = 65504.0


def random_reach(rng: np.random.Generator, size: int) -> Reach:
    return Reach(rng.standard_normal(size), rng.standard_normal(size))


@pytest.mark.parametrize("seed", range(10))
def test_no_sum_and_no_part_of_it_exceeds_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reach, weight, bias = random_reach(rng, 12), rng.standard_normal((5, 12)), rng.standard_normal(5)
    directions = rng.standard_normal((1000, 12))
    x = reach.gain * np.sqrt(12) * directions / np.linalg.norm(directions, axis=1, keepdims=True) + reach.shift
    terms = np.concatenate([x[:, None] * weight, np.broadcast_to(bias[:, None], (1000, 5, 1))], axis=2)
    parts = np.abs(rng.permuted(terms, axis=2).cumsum(axis=2)).max(axis=2)
    assert (parts <= reach.through(weight, bias) * (1 + 1e-12)).all()


@pytest.mark.parametrize("seed", range(10))
def test_the_worst_layer_norm_output_reaches_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reach = Reach(rng.standard_normal(12), rng.random(12))
    weight, bias = rng.random((5, 12)), rng.random(5)
    row = weight[0] * reach.gain
    worst = reach.gain * (np.sqrt(12) * row / np.linalg.norm(row)) + reach.shift
    assert worst @ weight[0] + bias[0] == pytest.approx(reach.through(weight, bias)[0])


def test_a_bias_alone_counts() -> None:
    """It must fit even where the weights cancel it."""
    reach = Reach(np.zeros(2), np.ones(2))
    assert reach.through(np.array([[-50000.0, -50000.0]]), np.array([100000.0])).tolist() == [100000.0]


def every_embedding(config: TransformerConfig, weights: dict[str, np.ndarray]) -> np.ndarray:
    """What the first layer of an encoder whose embedding has no norm can be given: float32 [tokens x positions, H]."""
    tokens, positions = (weights[f"encoder.embedding.{table}.weight"] for table in ("token", "position"))
    scale = np.sqrt(config.encoder.hidden_size) if config.encoder.scale_embeddings else 1.0
    summed: np.ndarray = scale * tokens[:, None] + positions
    return summed.reshape(-1, config.encoder.hidden_size)


@pytest.mark.parametrize("seed", range(24))
def test_queries_keys_and_values_stay_within_their_bounds(seed: int) -> None:
    config = random_config(seed)
    weights = random_weights(config, seed)
    bounds = Ranges(config, weights).bounds
    stack, rng = config.encoder, np.random.default_rng(seed)
    block = "encoder.layers.0.self_attention"
    if stack.pre_norm or stack.embedding_norm:
        norm = f"{block}.norm" if stack.pre_norm else "encoder.embedding.norm"
        z = rng.standard_normal((500, stack.hidden_size))
        z *= np.sqrt(stack.hidden_size) / np.linalg.norm(z, axis=1, keepdims=True)
        x = z * weights[f"{norm}.weight"] + weights[f"{norm}.bias"]
    else:
        x = every_embedding(config, weights)
    qkv = x @ weights[f"{block}.qkv.weight"].T + weights[f"{block}.qkv.bias"]
    for part, values in zip("qkv", np.split(qkv, 3, axis=1), strict=True):
        largest = np.abs(values).max()
        assert largest <= bounds[f"{block}.{part}"] < 10 * largest  # it is no empty promise


@pytest.mark.parametrize("seed", range(24))
def test_planned_weights_and_values_fit_fp16(seed: int) -> None:
    """Layers scaled up at random: what the plan makes of them stays in the type, whatever the model is given."""
    rng = np.random.default_rng(seed)
    config = random_config(seed)
    weights = random_weights(config, seed)
    for layer in linear_layers(config):
        factor = np.float32(10 ** rng.uniform(0, 6))
        weights[f"{layer.name}.weight"] = weights[f"{layer.name}.weight"] * factor
    islands = plan_islands(config, weights, FP16)
    bounds = Ranges(config, weights).bounds
    for layer in linear_layers(config):
        for key in (layer.input, *layer.outputs):
            if key[-2:] in (".q", ".k"):
                continue
            assert bounds[key] * 2.0 ** -islands.exponent(key) <= FP16_ROOM, key
    for block in attention_blocks(config):
        assert islands.exponent(f"{block}.q") + islands.exponent(f"{block}.k") == 0


def test_powers_of_two_cost_subnormal_weights_little() -> None:
    config = random_config(2)
    weights = random_weights(config, 2)
    exponents = {key: 3 for layer in linear_layers(config) for key in layer.outputs}
    low = low_weights(config, weights, FP16, Islands(exponents))
    plain = low_weights(config, weights, FP16, Islands())
    name = "decoder.layers.0.ffn"
    restored = low[f"{name}.in_.weight"].astype(np.float32) * 8
    normal = np.abs(restored) >= 8 * 2.0**-14
    np.testing.assert_array_equal(restored[normal], plain[f"{name}.in_.weight"].astype(np.float32)[normal])
    np.testing.assert_allclose(restored, weights[f"{name}.in_.weight"], atol=8 * 2.0**-25, rtol=2.0**-11)
    np.testing.assert_array_equal(low[f"{name}.out.weight"], plain[f"{name}.out.weight"])  # 2^-3 in, 2^-3 out
    np.testing.assert_array_equal(low[f"{name}.out.bias"].astype(np.float32) * 8, plain[f"{name}.out.bias"])
    assert low[f"{name}.norm.weight"].dtype == np.float32


def test_float32_blocks_keep_float32_weights() -> None:
    config = random_config(2, tied_output=True)
    weights = random_weights(config, 2)
    low = low_weights(config, weights, BF16, Islands(float32=frozenset({"encoder.layers.0.ffn", "output"})))
    wide = {name for name, array in low.items() if array.dtype == np.float32 and "norm" not in name}
    tables = {"encoder.embedding.position.weight", "decoder.embedding.position.weight", output_table(config)}
    ffn = {f"encoder.layers.0.ffn.{layer}.{part}" for layer in ("in_", "out") for part in ("weight", "bias")}
    of_islands = {name for name in low if name.endswith(".out.bias")} | {"output.bias"}
    assert wide == ffn | tables | of_islands


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_large_queries_are_balanced_by_small_keys(side: str) -> None:
    config = random_config(1)
    weights = random_weights(config, 1)
    weight = weights[f"{side}.layers.0.self_attention.qkv.weight"]
    size = config.decoder.hidden_size
    weight[:size] *= 1e6
    weight[size : 2 * size] *= 1e-6
    islands = plan_islands(config, weights, FP16)
    bounds = Ranges(config, weights).bounds
    for part in "qk":
        key = f"{side}.layers.0.self_attention.{part}"
        assert bounds[key] * 2.0 ** -islands.exponent(key) < FP16_ROOM
    assert islands.exponent(f"{side}.layers.0.self_attention.q") > 0


def test_bf16_needs_no_exponents() -> None:
    config = random_config(1)
    weights = {name: array * np.float32(1e10) for name, array in random_weights(config, 1).items()}
    assert plan_islands(config, weights, BF16) == Islands()


def test_a_table_that_does_not_fit_is_refused() -> None:
    config = random_config(1)
    weights = random_weights(config, 1)
    weights[output_table(config)][3, 1] = 2 * FP16_MAX
    with pytest.raises(ModelDirectoryError, match="131008 do not fit float16"):
        low_weights(config, weights, FP16, Islands())


def test_stored_float32_blocks(tmp_path: Path) -> None:
    config = random_config(1)
    assert read_float32_blocks(tmp_path, config, FP16) == frozenset()
    write_float32_blocks(tmp_path, FP16, frozenset({"output", "encoder.layers.0.ffn"}))
    write_float32_blocks(tmp_path, BF16, frozenset({"output"}))
    assert read_float32_blocks(tmp_path, config, FP16) == {"output", "encoder.layers.0.ffn"}
    assert read_float32_blocks(tmp_path, config, BF16) == {"output"}
    write_float32_blocks(tmp_path, FP16, frozenset({"encoder.layers.99.ffn"}))
    with pytest.raises(ModelDirectoryError, match=r"no such block: encoder.layers.99.ffn"):
        read_float32_blocks(tmp_path, config, FP16)
    (tmp_path / "precision.json").write_text('{"fp16": 3}')
    with pytest.raises(ModelDirectoryError, match=r"precision\.json"):
        read_float32_blocks(tmp_path, config, FP16)
