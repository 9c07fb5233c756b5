"""What the graph of a decoder step has in it, for each set of shapes and each kind of search: nothing but kernels, no
more of them than docs/design.md says, and memory for the caches alone. With decoders on TensorRT and on our kernels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gpu.conftest import Load
from gpu.gpu_models import write_model
from nmt_trt import Model
from nmt_trt.models.config import StackConfig
from random_models import BOS, EOS

if TYPE_CHECKING:
    from nmt_trt._core import StepGraph

LAYERS, HIDDEN = 3, 64
STACK = StackConfig(
    hidden_size=HIDDEN, num_layers=LAYERS, inner_size=4 * HIDDEN, num_heads=4, vocab_size=50, max_positions=64
)
FIRST_CACHE, TWO_CACHES = 20, 40
"""Steps that the first cache has room for, and steps that need the second."""
OUR_KERNELS = 2 * LAYERS + 2
"""Attentions, candidates and beams."""
SEGMENTS = 2 * LAYERS + 1
PRODUCTS = 6 * LAYERS + 1
"""Of a layer qkv, q, two outputs and the feed-forward block's two; and the logits."""
NORMS = 3 * LAYERS + 1
TENSORRT_KERNELS = PRODUCTS + NORMS + 2 * SEGMENTS
"""At most: a product and a norm are one kernel each; a segment may have two more, such as those of the embedding."""
NATIVE_KERNELS = 8 * LAYERS + 4
"""Of a step on our kernels with few rows, exactly: the embedding, of a layer six products and two attentions, the
logits, candidates and beams."""
SMALL = 1 << 16
"""Bytes of a stage beside its keys and values."""
SAMPLES = {"policy": "sample", "beam_size": 1, "num_hypotheses": 4}
MORE_KERNELS: list[tuple[dict[str, Any], int]] = [
    ({}, 0),
    ({"policy": "nemo"}, 0),
    ({"policy": "hf"}, 0),
    ({**SAMPLES, "sampling_topk": 5, "sampling_topp": 0.9}, 0),
    ({"beam_groups": 2, "diversity_penalty": 0.5}, 0),
    ({"token_scores": True}, 0),
    ({"attention": True}, 1),
    ({"coverage_penalty": 0.5}, 1),
    ({"min_length": 3, "repetition_penalty": 1.2, "no_repeat_ngram": 2, "bad_words": [[4, 6], [5]]}, 1),
    ({"policy": "hf", "min_length": 3, "attention": True, "token_scores": True}, 2),
    ({**SAMPLES, "min_length": 3, "attention": True}, 2),
]
"""Options, and the kernels that a step has more than without any."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that never ends a sentence by itself."""
    path = tmp_path_factory.mktemp("step_graphs") / "model"
    fixed = {"encoder": STACK, "decoder": STACK, "shared_embeddings": False}
    write_model(path, 0, low_precisions=("fp16",), endless=True, **fixed)
    return path


@pytest.fixture(scope="module", params=["engines", "auto"])
def decoder(request: pytest.FixtureRequest) -> str:
    """What runs decoders."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def model(directory: Path, load: Load, decoder: str) -> Model:
    """It in fp16."""
    model = load(directory, precision="fp16", decoder=decoder)
    assert ("native decoder" in model.backend) == (decoder == "auto")
    return model


def step_graphs(model: Model) -> list[StepGraph]:
    """Those of all searches so far, the one used last first."""
    backend: Any = model._backend
    graphs: list[StepGraph] = backend._generators[0].step_graphs
    return graphs


def run(model: Model, sentences: int, source: int, steps: int, **options: Any) -> list[StepGraph]:
    """Translate sentences of so many tokens each, and return the graphs of the last search."""
    draw = np.random.default_rng(sentences)
    words = draw.integers(4, STACK.vocab_size, (sentences, source - 2))
    rows = [np.array([BOS, *row, EOS], np.int32) for row in words]
    model.generate(rows, **{"beam_size": 4, "max_length": steps, "max_length_delta": -1, **options})
    return step_graphs(model)[: 1 if steps <= FIRST_CACHE else 2]


@pytest.mark.parametrize("sentences", [1, 3, 8])
@pytest.mark.parametrize("beam", [1, 4])
def test_kernels_and_bytes_of_each_shape(model: Model, decoder: str, sentences: int, beam: int) -> None:
    rows = 1 << (sentences - 1).bit_length()
    least = 2 if beam == 1 and decoder == "engines" else 1  # their R is at least 2
    counts = set()
    for source, bucket in ((9, 16), (30, 32)):
        graphs = run(model, sentences, source, TWO_CACHES, beam_size=beam)
        assert [graph.cache_slots for graph in graphs] == [64 * beam, 32 * beam]
        for graph in graphs:
            assert graph.source == bucket and graph.beam_size == beam
            assert graph.rows == max(rows, least)
            assert graph.other_nodes == 0
            if decoder == "auto":
                assert (graph.kernels, graph.memsets) == (NATIVE_KERNELS, 0)
            assert graph.memsets <= PRODUCTS  # for those that are split
            assert OUR_KERNELS + SEGMENTS <= graph.kernels <= OUR_KERNELS + TENSORRT_KERNELS
            keys_and_values = 2 * LAYERS * graph.rows * (graph.cache_slots + graph.source) * HIDDEN * 2
            assert keys_and_values <= graph.bytes < keys_and_values + SMALL
            counts.add((graph.kernels, graph.memsets))
    assert len(counts) == 1, "a step's kernels depend on the length"
    assert sum(graph.bytes for graph in step_graphs(model)) <= model.memory["stages"]


def test_options_add_so_many_kernels(model: Model) -> None:
    """Graphs of the same rows have the decoder's kernels in common, so that the difference is the search's."""
    (plain,) = run(model, 3, 9, FIRST_CACHE)
    for options, more in MORE_KERNELS:
        (graph,) = run(model, 3, 9, FIRST_CACHE, **options)
        assert (graph.rows, graph.beam_size, graph.source) == (plain.rows, plain.beam_size, plain.source)
        assert graph.kernels == plain.kernels + more, options
        assert (graph.memsets, graph.other_nodes) == (plain.memsets, 0), options


def test_an_ensemble_adds_its_models_and_two_kernels(directory: Path, model: Model, load: Load, decoder: str) -> None:
    (alone,) = run(model, 3, 9, FIRST_CACHE)
    (graph,) = run(load(directory, precision="fp16", decoder=decoder, ensemble=[directory]), 3, 9, FIRST_CACHE)
    one = alone.kernels - 2  # without the search
    assert graph.kernels == 2 * one + 2 + 2
    assert (graph.memsets, graph.other_nodes) == (2 * alone.memsets, 0)
