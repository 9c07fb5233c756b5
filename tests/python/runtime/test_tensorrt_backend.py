"""The TensorRT backend with a stand-in for the C++ side: batches, plans, errors, kept kernels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, Range
from nmt_trt.errors import CudaError, EngineBuildError, EngineError, OutOfMemoryError, SourceError, UsageError
from nmt_trt.model_directory import read_config
from nmt_trt.options import ResolvedOptions, make_options
from nmt_trt.results import Timings
from nmt_trt.runtime import tensorrt_backend
from nmt_trt.runtime.plan_source import PlanSource
from nmt_trt.runtime.runtime_cache import RuntimeCache
from nmt_trt.runtime.tensorrt_backend import EngineModel, TensorRTBackend
from random_models import BOS, EOS, random_sources, write_random_model
from runtime import fake_core
from runtime.fake_core import ENCODER_SECONDS, GENERATOR_SECONDS, GRAPHS, FakeCore, FakeGenerator, FakeLibrary

SHAPES = EngineShapes(Range(1, 4, 8), Range(1, 16, 40), Range(1, 4, 4))


class FakePlans:
    """A place that makes plans up, and remembers what it was asked for."""

    def __init__(self, *, failures: list[Exception] | None = None) -> None:
        self.specs: list[PlanSpec] = []
        self.failures = failures or []

    def get(self, spec: PlanSpec) -> bytes | None:
        self.specs.append(spec)
        if self.failures:
            raise self.failures.pop(0)
        return spec.key().encode()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model"
    write_random_model(path, 11)
    return path


Open = Callable[..., tuple[TensorRTBackend, FakeGenerator]]


@pytest.fixture
def core(directory: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCore:
    core = FakeCore(directory)
    monkeypatch.setattr(tensorrt_backend, "_core", core.namespace)
    return core


@pytest.fixture
def open_it(core: FakeCore, directory: Path, tmp_path: Path) -> Open:
    """Make a backend of some plans, and tell its generator."""
    (tmp_path / "cache").mkdir()

    def make(
        *places: Any,
        shapes: EngineShapes = SHAPES,
        library: Any = None,
        memory_limit: int | None = None,
        batches_in_flight: int = 1,
        native_decoder: Any = None,
    ) -> tuple[TensorRTBackend, FakeGenerator]:
        plans = PlanSource("fp16", shapes, places or (FakePlans(),))
        backend = TensorRTBackend(
            read_config(directory),
            library or FakeLibrary(),  # type: ignore[arg-type]
            [EngineModel(read_config(directory), plans, "nmt-trt build model", native_decoder)],
            RuntimeCache(tmp_path / "cache" / "kernels"),
            memory_limit=memory_limit,
            batches_in_flight=batches_in_flight,
            description="fake",
        )
        return backend, core.generators[-1]

    return make


@pytest.fixture
def two(core: FakeCore, open_it: Open) -> tuple[TensorRTBackend, list[FakeGenerator]]:
    """A backend of two generators, and these."""
    backend, _ = open_it(batches_in_flight=2, memory_limit=12345)
    return backend, core.generators


def resolved(directory: Path, **options: Any) -> ResolvedOptions:
    return make_options(**options).resolve(read_config(directory))


def test_the_generator_is_told_the_model(open_it: Open, directory: Path) -> None:
    _, generator = open_it(memory_limit=12345)
    config = read_config(directory)
    (model,) = generator.models
    assert callable(model.pop("plan_provider"))
    assert model == {
        "layers": config.decoder.num_layers,
        "heads": config.decoder.num_heads,
        "head_size": config.decoder.hidden_size // config.decoder.num_heads,
        "encoder_layers": config.encoder.num_layers,
        "encoder_heads": config.encoder.num_heads,
        "encoder_head_size": config.encoder.hidden_size // config.encoder.num_heads,
        "causal_encoder": config.causal_encoder,
        "vocab_size": config.decoder.vocab_size,
        "max_positions": 64,
        "eos": 3,
        "pad": 0,
        "bos": 2,
        "max_batch": 8,
        "max_source": 40,
        "attention_layer": config.decoder.num_layers - 1,
        "native_decoder": None,
    }
    assert generator.arguments["memory_limit"] == 12345


def test_a_batch_reaches_the_generator(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    options = resolved(
        directory,
        beam_size=3,
        num_hypotheses=2,
        length_penalty=0.7,
        max_length_delta=4,
        no_repeat_ngram=2,
        bad_words=[[5, 6], [7]],
    )
    rows = [np.array([BOS, 5, EOS], np.int32), np.array([BOS, 5, 6, 7, EOS], np.int32)]
    timings = Timings(encoder=1.0)
    found = backend.search(rows, options, timings)
    assert [len(hypotheses) for hypotheses in found] == [2, 2]
    assert timings == Timings(encoder=1.0 + ENCODER_SECONDS, generator=GENERATOR_SECONDS)
    (call,) = generator.calls
    np.testing.assert_array_equal(call.pop("max_lengths"), [7, 9])
    assert call == {
        "shape": (2, 5),
        "lengths": [3, 5],
        "deterministic": False,
        "target_prefix": [],
        "sentence_numbers": (),
        **options.search_keywords(),
    }
    assert (call["policy"], call["beam_size"], call["num_hypotheses"], call["length_penalty"]) == ("gnmt", 3, 2, 0.7)


def test_policy_nemo_counts_padding_in_the_length_limit(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    rows = [np.array([BOS, 5, EOS], np.int32), np.array([BOS, 5, 6, 7, EOS], np.int32)]
    backend.search(rows, resolved(directory, policy="nemo", max_length_delta=4), Timings())
    np.testing.assert_array_equal(generator.calls[0]["max_lengths"], [9, 9])


def test_plans_are_asked_for_by_what_they_are(open_it: Open, directory: Path) -> None:
    plans = FakePlans()
    backend, _ = open_it(plans)
    assert plans.specs == [], "nothing is built before the first sentences come"
    rows = [np.array([BOS, 5, EOS], np.int32)]
    for _ in range(2):
        backend.search(rows, resolved(directory, beam_size=3), Timings())
    assert plans.specs == [PlanSpec(graph, "fp16", SHAPES) for graph in GRAPHS]


def test_no_decoder_plan_is_asked_for_in_vain(open_it: Open, directory: Path) -> None:
    plans, native = FakePlans(), object()
    backend, generator = open_it(plans, native_decoder=native)
    assert generator.models[0]["native_decoder"] is native
    backend.search([np.array([BOS, 5, EOS], np.int32)], resolved(directory), Timings())
    assert [spec.graph for spec in plans.specs] == ["encoder_0", "encoder_1"]


def test_the_first_place_that_has_a_plan_gives_it() -> None:
    class Nothing:
        def get(self, spec: PlanSpec) -> bytes | None:
            return None

    first, second = FakePlans(), FakePlans()
    source = PlanSource("fp32", SHAPES, [Nothing(), first, second])
    assert source.plan("decoder_4") == PlanSpec("decoder_4", "fp32", SHAPES).key().encode()
    assert second.specs == []
    with pytest.raises(EngineError, match="there is no plan encoder_0-fp32-.*, and no TensorRT Python package"):
        PlanSource("fp32", SHAPES, [Nothing()]).plan("encoder_0")


def test_batches_stay_within_the_engines(open_it: Open, directory: Path) -> None:
    backend, _ = open_it()
    lengths = [3, 9, 5, 7, 1, 2, 8, 4, 6, 10]
    assert backend.plan_batches(lengths, resolved(directory)) == [[9, 1, 6, 3, 8, 2, 7, 0], [5, 4]]
    assert backend.plan_batches(lengths, resolved(directory, batch_size=1000))[0] == [9, 1, 6, 3, 8, 2, 7, 0]
    assert backend.plan_batches(lengths, resolved(directory, batch_size=3))[0] == [9, 1, 6]
    nemo = backend.plan_batches(lengths, resolved(directory, policy="nemo"))
    assert nemo == [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9]]
    assert backend.plan_batches([], resolved(directory)) == []
    assert max(map(len, backend.plan_batches(lengths, resolved(directory, beam_size=10)))) == 3


def test_sentences_of_a_batch_as_far_as_can_be_told_without_engines(open_it: Open, directory: Path) -> None:
    plans = FakePlans()
    backend, _ = open_it(plans)
    assert backend.limits(resolved(directory)).sentences == 8
    assert backend.limits(resolved(directory, batch_size=3)).sentences == 3
    assert backend.limits(resolved(directory, batch_size=1000)).sentences == 8
    assert plans.specs == []


def test_it_is_loaded_once_something_was_searched_or_warmed_up(open_it: Open, directory: Path) -> None:
    rows, options = [np.array([BOS, 5, EOS], np.int32)], resolved(directory)
    backend, generator = open_it()
    generator.failures = [EngineBuildError("not yet")]
    with pytest.raises(EngineBuildError):
        backend.search(rows, options, Timings())
    assert not backend.loaded
    backend.search(rows, options, Timings())
    assert backend.loaded
    warmed, _ = open_it()
    warmed.warmup(2, 16, options)
    assert warmed.loaded


def test_a_token_budget_is_cut_to_what_the_engines_take(open_it: Open, directory: Path) -> None:
    backend, _ = open_it()
    lengths = [3, 9, 5, 7, 1, 2, 8, 4, 6, 10]
    assert backend.plan_batches(lengths, resolved(directory, batch_size=20, batch_type="tokens")) == [
        [9, 1],
        [6, 3],
        [8, 2, 7],
        [0, 5, 4],
    ]
    batches = backend.plan_batches(lengths, resolved(directory, batch_size=10_000, batch_type="tokens"))
    assert batches == [[9, 1, 6, 3, 8, 2, 7, 0], [5, 4]]
    with pytest.raises(SourceError, match=r"src_ids\[1\] has 9 tokens; with batch_type='tokens' a batch holds"):
        backend.plan_batches(lengths, resolved(directory, batch_size=8, batch_type="tokens"))


def test_a_beam_larger_than_the_engines_take(open_it: Open, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, _ = open_it()
    monkeypatch.setattr(fake_core, "MAX_ROWS", 8)
    with pytest.raises(
        UsageError, match="beam_size 9 is more than the engines take; build larger ones with: "
    ) as error:
        backend.plan_batches([3], resolved(directory, beam_size=9))
    assert "nmt-trt build model --beam-size 1:9:9, or load the model with beam='1:9:9'" in str(error.value)


def test_deterministic_batches_are_of_one_source_bucket(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    options = resolved(directory, deterministic=True)
    lengths = [16, 17, 40, 33, 1, 32]
    assert backend.plan_batches(lengths, options) == [[2, 3], [1, 5], [0, 4]]
    assert max(map(len, backend.plan_batches([5] * 10, options))) == generator.deterministic_rows(4)
    backend.search([np.array([BOS, 5, EOS], np.int32)], options, Timings())
    assert generator.calls[0]["deterministic"] is True


def test_a_source_longer_than_the_engines_take(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    with pytest.raises(SourceError, match=r"\[1\] has 41 tokens; the engines take input_ids of 1 to 40; ") as error:
        backend.plan_batches([40, 41, 44], resolved(directory))
    assert "nmt-trt build model --source 1:16:44, or load the model with source='1:16:44'" in str(error.value)
    assert generator.calls == []


def test_limits_by_the_source_reach_the_generator(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    rows = [np.array([BOS, 5, EOS], np.int32), np.array([BOS, 5, 6, 7, EOS], np.int32)]
    backend.search(rows, resolved(directory, max_length_factor=1.5, max_length_delta=1), Timings())
    np.testing.assert_array_equal(generator.calls[0]["max_lengths"], [5, 8])


@pytest.mark.parametrize("error", [EngineError("a"), CudaError("b"), OutOfMemoryError("c")])
def test_after_an_error_the_next_request_is_served(open_it: Open, directory: Path, error: Exception) -> None:
    backend, generator = open_it()
    options = resolved(directory)
    (source,) = random_sources(read_config(directory), 1, 8, 1)
    generator.failures = [error]
    with pytest.raises(type(error)):
        backend.search([source], options, Timings())
    assert backend.search([source], options, Timings())[0][0].tokens.size > 0


def test_a_plan_that_cannot_be_built_is_tried_again_with_the_next_request(open_it: Open, directory: Path) -> None:
    plans = FakePlans(failures=[EngineBuildError("no such layer")])
    backend, _ = open_it(plans)
    (source,) = random_sources(read_config(directory), 1, 8, 1)
    with pytest.raises(EngineBuildError, match="no such layer"):
        backend.search([source], resolved(directory), Timings())
    assert backend.search([source], resolved(directory), Timings())[0][0].tokens.size > 0
    assert [spec.graph for spec in plans.specs] == ["encoder_0", *GRAPHS]


def test_memory_is_told(open_it: Open) -> None:
    backend, _ = open_it()
    assert backend.memory == {"plans": 0, "stages": 0}


def test_warmup(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    options = resolved(directory, beam_size=2, max_length=30, max_length_delta=-1, suppress_tokens=[5])
    backend.warmup(8, 40, options)
    assert generator.warmups == [
        {
            "batch": 8,
            "source": 40,
            "beam_size": 2,
            "steps": 30,
            "policy": "gnmt",
            "deterministic": False,
            "token_scores": False,
            "beam_groups": 1,
            "attention": False,
            **options.score_keywords(),
        }
    ]
    with pytest.raises(UsageError, match="sentences must be from 1 to 8, as the engines take; given 9"):
        backend.warmup(9, 1, options)
    with pytest.raises(UsageError, match="source_length must be from 1 to 40, as the engines take; given 0"):
        backend.warmup(1, 0, options)


def test_each_place_has_a_generator(two: tuple[TensorRTBackend, list[FakeGenerator]], directory: Path) -> None:
    backend, generators = two
    assert backend.batches_in_flight == len(generators) == 2
    assert [generator.arguments["memory_limit"] for generator in generators] == [6172, 6172]
    rows, options = [np.array([BOS, 5, EOS], np.int32)], resolved(directory)
    found = [backend.search(rows, options, Timings(), place=place)[0][0].tokens.tolist() for place in (0, 1, 1)]
    assert found == [found[0]] * 3
    assert [len(generator.calls) for generator in generators] == [1, 2]
    assert backend.memory == {"plans": 2000 * len(GRAPHS), "stages": 20}


def test_warmup_is_of_all_generators(two: tuple[TensorRTBackend, list[FakeGenerator]], directory: Path) -> None:
    backend, generators = two
    backend.warmup(8, 40, resolved(directory))
    assert [len(generator.warmups) for generator in generators] == [1, 1]


def test_kernels_are_kept_from_process_to_process(open_it: Open, directory: Path, tmp_path: Path) -> None:
    library = FakeLibrary()
    backend, _ = open_it(library=library)
    assert library.given_cache is None
    rows = [np.array([BOS, 5, EOS], np.int32)]
    backend.search(rows, resolved(directory), Timings())
    library.kernels = b"more kernels"
    backend.warmup(2, 1, resolved(directory))
    library.kernels = b"never asked for: nothing is new"
    backend.search(rows, resolved(directory), Timings())

    later = FakeLibrary()
    open_it(library=later)
    assert later.given_cache == b"more kernels"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["kernels"]


def test_kernels_that_cannot_be_kept_are_no_error(
    open_it: Open, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache" / "kernels").mkdir()
    backend, _ = open_it()
    backend.search([np.array([BOS, 5, EOS], np.int32)], resolved(directory), Timings())
    assert "cannot be read" in caplog.text and "cannot be written" in caplog.text


def test_early_stopping_reaches_the_generator(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    options = resolved(directory, policy="hf", early_stopping="never", length_penalty=-0.5)
    backend.search([np.array([BOS, 5, EOS], np.int32)], options, Timings())
    (call,) = generator.calls
    assert (call["policy"], call["early_stopping"], call["length_penalty"]) == ("hf", "never", -0.5)


def test_options_of_each_policy_reach_the_generator(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    rows = [np.array([BOS, 5, EOS], np.int32)]
    given: list[dict[str, Any]] = [
        {"policy": "sample", "sampling_temperature": 0.5, "sampling_topk": 7, "sampling_topp": 0.75, "seed": 3},
        {"policy": "hf", "patience": 2.0},
        {"policy": "gnmt", "beam_size": 4, "beam_groups": 2, "diversity_penalty": 1.5},
    ]
    for options in given:
        backend.search(rows, resolved(directory, **options), Timings(), sentence_numbers=[41])
        backend.warmup(1, 3, resolved(directory, **options))
        assert {name: generator.calls[-1][name] for name in options} == options
        assert generator.calls[-1]["sentence_numbers"] == [41]
    assert [warmup["beam_groups"] for warmup in generator.warmups] == [1, 1, 2]


def test_prefixes_and_token_scores_reach_the_generator(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    rows = [np.array([BOS, 5, EOS], np.int32), np.array([BOS, 6, EOS], np.int32)]
    options = resolved(directory, token_scores=True)
    prefixes = [np.array([7], np.int32), np.empty(0, np.int32)]
    (first, *_), (second, *_) = backend.search(rows, options, Timings(), target_prefix=prefixes)
    (call,) = generator.calls
    assert call["token_scores"] is True and call["target_prefix"] == [[7], []]
    assert first.tokens[0] == 7
    for found in (first, second):
        assert found.token_scores is not None
        assert found.log_prob == pytest.approx(float(found.token_scores.sum()), rel=1e-6)
    backend.warmup(1, 3, options)
    assert generator.warmups[0]["token_scores"] is True
    (plain, *_), *_ = backend.search(rows, resolved(directory), Timings())
    assert plain.token_scores is None


def test_attention_is_asked_for_where_it_is_needed(open_it: Open, directory: Path) -> None:
    backend, generator = open_it()
    rows = [np.array([BOS, 5, EOS], np.int32), np.array([BOS, 6, 7, 8, EOS], np.int32)]
    for options in (resolved(directory, attention=True), resolved(directory, replace_unknowns=True)):
        for row, (best, *_) in zip(rows, backend.search(rows, options, Timings()), strict=True):
            assert best.attention is not None and best.attention.shape[1] == row.size
        assert generator.calls[-1]["attention"] is True
        backend.warmup(1, 3, options)
        assert generator.warmups[-1]["attention"] is True
    (best, *_), *_ = backend.search(rows, resolved(directory, coverage_penalty=0.3), Timings())
    assert best.attention is None
    call = generator.calls[-1]
    assert (call["attention"], call["coverage_penalty"]) == (False, 0.3)
    backend.warmup(1, 3, resolved(directory, coverage_penalty=0.3))
    assert generator.warmups[-1]["attention"] is True
