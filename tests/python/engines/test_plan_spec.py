"""Ranges, the sizes of a model's engines, and the names of plans."""

from __future__ import annotations

import pytest

from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, Range, model_plans, model_shapes, padded_tokens
from nmt_trt.errors import UsageError
from nmt_trt.models.config import GenerationDefaults
from random_models import random_config


@pytest.mark.parametrize(
    ("text", "wanted"), [("1:8:64", Range(1, 8, 64)), ("8", Range(8, 8, 8)), ("3:3:3", Range(3, 3, 3))]
)
def test_a_range_is_three_numbers_or_one(text: str, wanted: Range) -> None:
    assert Range.parse(text) == wanted
    assert Range.parse(str(wanted)) == wanted


@pytest.mark.parametrize(
    "text", ["", ":", "1:2", "1:2:3:4", "a", "1:x:3", "0", "0:1:2", "2:1:3", "1:3:2", "-1:2:3", "1.5", "1: 2:3", "²"]
)
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(UsageError, match="range"):
        Range.parse(text)


def test_rows_are_sentences_times_hypotheses() -> None:
    shapes = EngineShapes(batch=Range(2, 8, 16), beam=Range(1, 4, 5))
    assert shapes.rows == Range(2, 32, 80)


@pytest.mark.parametrize(("beam_size", "wanted"), [(4, Range(1, 4, 8)), (12, Range(1, 12, 12)), (1, Range(1, 1, 8))])
def test_default_beams_suit_the_model(beam_size: int, wanted: Range) -> None:
    config = random_config(0, generation=GenerationDefaults(beam_size=beam_size))
    assert model_shapes(config).beam == wanted


def test_sources_end_where_the_positions_do() -> None:
    config = random_config(0)
    assert config.encoder.max_positions == 64
    assert model_shapes(config).source == Range(1, 64, 64)
    assert model_shapes(config, source=Range(1, 16, 64)).source == Range(1, 16, 64)
    with pytest.raises(UsageError, match="64 positions; given 1:16:65"):
        model_shapes(config, source=Range(1, 16, 65))
    with pytest.raises(UsageError, match="must not exceed 32"):
        model_shapes(config, beam=Range(1, 4, 33))


@pytest.mark.parametrize(
    ("graph", "precision"),
    [("prefill", "fp32"), ("encoder", "fp32"), ("decoder", "fp32"), ("decoder_x", "fp32"), ("encoder_0", "int3")],
)
def test_only_known_graphs_and_precisions(graph: str, precision: str) -> None:
    with pytest.raises(UsageError):
        PlanSpec(graph, precision)


def test_a_model_has_a_plan_for_each_segment_the_encoders_first() -> None:
    config = random_config(0)
    plans = model_plans(config, "fp16", model_shapes(config))
    assert (config.encoder.num_layers, config.decoder.num_layers) == (1, 2)
    assert [plan.graph for plan in plans] == ["encoder_0", "encoder_1", *(f"decoder_{i}" for i in range(5))]
    assert [plan.side for plan in plans] == ["encoder"] * 2 + ["decoder"] * 5


def test_keys_tell_what_a_plan_depends_on() -> None:
    """The decoder's rows do not depend on the sources; whatever a plan depends on is in its key."""
    shapes = EngineShapes()
    longer = EngineShapes(source=Range(1, 64, 512))
    assert PlanSpec("encoder_3", "fp16", shapes).key() == "encoder_3-fp16-t16.512.16384"
    assert PlanSpec("decoder_3", "fp16", shapes).key() == "decoder_3-fp16-r2.32.512"
    assert PlanSpec("encoder_3", "fp16", longer).key() == "encoder_3-fp16-t16.512.32768"
    assert PlanSpec("decoder_3", "fp16", longer).key() == PlanSpec("decoder_3", "fp16", shapes).key()
    assert PlanSpec("decoder_3", "bf16", shapes).key() != PlanSpec("decoder_3", "fp16", shapes).key()


def test_the_decoder_has_two_rows_at_least() -> None:
    assert EngineShapes(Range.of(1), Range.of(16), Range.of(1)).rows == Range.of(2)
    assert EngineShapes(Range(1, 8, 64), Range.of(16), Range(1, 4, 8)).rows == Range(2, 32, 512)


@pytest.mark.parametrize(
    ("batch", "source", "wanted"),
    [
        (Range(1, 8, 64), Range(1, 64, 256), Range(16, 512, 16384)),
        (Range(1, 8, 63), Range(1, 63, 256), Range(16, 512, 16384)),
        (Range(1, 3, 5), Range(1, 11, 13), Range(16, 64, 128)),
        (Range.of(1), Range.of(3), Range.of(16)),
        (Range.of(8), Range.of(64), Range(16, 512, 512)),
    ],
)
def test_the_encoder_takes_as_many_tokens_as_a_batch_may_have(batch: Range, source: Range, wanted: Range) -> None:
    """From 16 on, for few short sentences; the other sizes are rounded up to powers of two."""
    assert EngineShapes(batch, source).tokens == wanted
    assert PlanSpec("encoder_0", "fp32", EngineShapes(batch, source)).dimensions == {"T": wanted}


def test_numbers_of_tokens_are_rounded_up_to_powers_of_two() -> None:
    assert [padded_tokens(count) for count in (1, 16, 17, 32, 33, 512, 513)] == [16, 16, 32, 32, 64, 512, 1024]
