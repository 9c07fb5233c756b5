"""Ranges, the sizes of a model's engines, and the names of plans."""

from __future__ import annotations

import pytest

from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, Range, model_plans, model_shapes
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
    ("graph", "precision"), [("prefill", "fp32"), ("decoder", "fp32"), ("decoder_x", "fp32"), ("encoder", "int3")]
)
def test_only_known_graphs_and_precisions(graph: str, precision: str) -> None:
    with pytest.raises(UsageError):
        PlanSpec(graph, precision)


def test_a_model_has_an_encoder_and_two_segments_a_decoder_layer_and_one() -> None:
    config = random_config(0)
    plans = model_plans(config, "fp16", model_shapes(config))
    assert [plan.graph for plan in plans] == ["encoder", *(f"decoder_{i}" for i in range(2 * 2 + 1))]
    assert config.decoder.num_layers == 2


def test_keys_tell_what_a_plan_depends_on() -> None:
    """A segment's rows do not depend on the sources; whatever a plan depends on is in its key."""
    shapes = EngineShapes()
    longer = EngineShapes(source=Range(1, 64, 512))
    assert PlanSpec("encoder", "fp16", shapes).key() == "encoder-fp16-b1.8.64-s1.64.256"
    assert PlanSpec("decoder_3", "fp16", shapes).key() == "decoder_3-fp16-r2.32.512"
    assert PlanSpec("encoder", "fp16", longer).key() != PlanSpec("encoder", "fp16", shapes).key()
    assert PlanSpec("decoder_3", "fp16", longer).key() == PlanSpec("decoder_3", "fp16", shapes).key()
    assert PlanSpec("decoder_3", "bf16", shapes).key() != PlanSpec("decoder_3", "fp16", shapes).key()


def test_a_segment_has_two_rows_at_least() -> None:
    """And the encoder admits the sentences that such a batch is padded to."""
    one = EngineShapes(Range.of(1), Range.of(16), Range.of(1))
    assert (one.rows, one.sentences) == (Range.of(2), Range(1, 1, 2))
    assert EngineShapes(Range.of(1), Range.of(16), Range.of(4)).sentences == Range.of(1)
    assert EngineShapes(Range(1, 8, 64), Range.of(16), Range(1, 4, 8)).rows == Range(2, 32, 512)
