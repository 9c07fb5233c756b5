"""Ensembles on the CPU: the average, the search over it, what the models must have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import nmt_trt
from importing.nemo_archives import write_random_nemo
from nmt_trt import _core
from nmt_trt.errors import BackendError, ModelDirectoryError, SourceError, UsageError
from nmt_trt.model_directory import read_config, write_model_directory
from nmt_trt.models.transformer import Transformer
from nmt_trt.results import Hypothesis
from random_ensembles import TARGET_VOCABULARY, member_config, write_members
from random_models import BOS, EOS, PAD, random_sources, random_weights, write_random_model
from runtime.test_batch_invariance import assert_same, bits
from search.brute_force import BruteForce, NearTieError
from search.cases import Case, Found
from search.toy_model import History

SHIFT = 100.0


def load(paths: list[Path], **options: Any) -> nmt_trt.Model:
    """The ensemble of these directories on the CPU."""
    return nmt_trt.load(paths[0], ensemble=paths[1:], backend="onnxruntime", threads=1, **options)


@dataclass(frozen=True)
class TorchEnsemble:
    """Models of torch modules that read every hypothesis whole, averaged in float64; ToyModel's interface."""

    seeds: tuple[int, ...]
    sources: tuple[tuple[int, ...], ...]
    vocab_size: int = TARGET_VOCABULARY
    eos: int = EOS

    @cached_property
    def models(self) -> list[Transformer]:
        """One for each seed."""
        models = []
        for seed in self.seeds:
            config = member_config(seed)
            model = Transformer(config)
            model.load_state_dict({name: torch.tensor(w) for name, w in random_weights(config, seed).items()})
            models.append(model.eval().requires_grad_(False))
        return models

    def log_probs(self, history: History) -> NDArray[np.float64]:
        """float64 [V]: logarithm of the mean probability of what follows the start token and `history.tokens`."""
        source = torch.tensor([self.sources[history.sentence]])
        target = torch.tensor([[BOS, *history.tokens]])
        lengths = torch.tensor([source.shape[1]])
        probabilities = [model(source, lengths, target)[0, -1].double().softmax(-1) for model in self.models]
        mean: NDArray[np.float64] = torch.stack(probabilities).mean(0).log().numpy()
        return mean


def test_the_average_is_that_of_numpy() -> None:
    draw = np.random.default_rng(1)
    for models, vocabulary in ((1, 3), (2, 128), (3, 1000), (5, 131)):
        shape = (2, 3, vocabulary)
        logits = [
            (draw.standard_normal(shape) * draw.uniform(0.1, 30) + SHIFT).astype(np.float32) for _ in range(models)
        ]
        found = np.empty(shape, np.float32)
        _core.average_log_probs(logits, out=found)
        exact = np.stack(logits).astype(np.float64)
        log_probs = exact - np.logaddexp.reduce(exact, axis=-1, keepdims=True)
        wanted = np.logaddexp.reduce(log_probs, axis=0) - np.log(models)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=2e-5)


def test_equal_models_average_to_themselves_to_the_last_bit() -> None:
    logits = np.random.default_rng(2).standard_normal((1, 2, 300)).astype(np.float32)
    alone, together = np.empty_like(logits), np.empty_like(logits)
    _core.average_log_probs([logits], out=alone)
    for models in (2, 3, 7):
        _core.average_log_probs([logits] * models, out=together)
        assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_make_the_row_nan(bad: float) -> None:
    logits = np.zeros((1, 3, 40), np.float32)
    other = logits.copy()
    other[0, 1, 7] = bad
    logits[0, 2] = -np.inf
    found = np.empty_like(logits)
    _core.average_log_probs([logits, other], out=found)
    np.testing.assert_allclose(found[0, 0], -np.log(40), rtol=1e-6)
    assert np.isnan(found[0, 1:]).all()


def test_a_token_that_one_model_excludes_has_the_others_part() -> None:
    logits = np.zeros((1, 1, 4), np.float32)
    other = logits.copy()
    logits[0, 0, :2], other[0, 0, 0] = -np.inf, -np.inf
    found = np.empty_like(logits)
    _core.average_log_probs([logits, other], out=found)
    np.testing.assert_allclose(np.exp(found[0, 0]), [0, 1 / 6, 5 / 12, 5 / 12], rtol=1e-6)


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([], "logits must be those of one model at least"),
        ([np.zeros((1, 2, 3), np.float64)], r"logits must be a C-contiguous float32 array of shape \[1, 2, 3\]"),
        ([np.zeros((1, 2, 4), np.float32)], r"logits must be a C-contiguous float32 array of shape \[1, 2, 3\]"),
    ],
)
def test_unusable_logits_are_refused(logits: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _core.average_log_probs(logits, out=np.empty((1, 2, 3), np.float32))


def test_an_unusable_place_for_the_average_is_refused() -> None:
    logits = [np.zeros((1, 2, 3), np.float32)]
    fixed = np.empty((1, 2, 3), np.float32)
    fixed.flags.writeable = False
    for out in (fixed, np.empty((2, 3), np.float32)):
        with pytest.raises(UsageError, match="out must be"):
            _core.average_log_probs(logits, out=out)


def decided(seed: int) -> tuple[Case, list[list[Found]]]:
    """Two or three models, a batch and its brute-force search that no near-tie leaves open."""
    for attempt in count():
        draw = np.random.default_rng([seed, attempt])
        seeds = tuple(int(other) for other in draw.choice(1000, 2 + seed % 2, replace=False))
        sources = random_sources(member_config(seeds[0]), 3, 9, seed)
        beam_size = int(draw.integers(1, 6))
        case = Case(
            model=TorchEnsemble(seeds, tuple(tuple(source.tolist()) for source in sources)),  # type: ignore[arg-type]
            policy="gnmt",
            sentences=tuple(range(len(sources))),
            max_lengths=(8,) * len(sources),
            beam_size=beam_size,
            num_hypotheses=beam_size,
            length_penalty=float(draw.choice([0.0, 0.6, 1.0])),
            pad=PAD,
            bos=BOS,
        )
        try:
            return case, [BruteForce(case, position).search() for position in case.sentences]
        except NearTieError:
            continue
    raise AssertionError("count() does not end")


@pytest.mark.parametrize("seed", range(8))
def test_equals_a_brute_force_search_over_torch_models(tmp_path: Path, seed: int) -> None:
    case, wanted = decided(seed)
    ensemble: Any = case.model
    model = load(write_members(tmp_path, ensemble.seeds))
    assert f"on the CPU, {len(ensemble.seeds)} models (asked for)" in model.backend
    result = model.generate(
        [list(source) for source in ensemble.sources],
        beam_size=case.beam_size,
        num_hypotheses=case.num_hypotheses,
        length_penalty=case.length_penalty,
        max_length=8,
        token_scores=True,
    )
    for found, expected in zip(result.hypotheses, wanted, strict=True):
        assert [tuple(one.tokens.tolist()) for one in found] == [one.tokens for one in expected]
        assert [one.score for one in found] == pytest.approx([one.score for one in expected], rel=1e-4, abs=1e-4)
        for one in found:
            assert one.token_scores is not None
            assert float(one.token_scores.sum()) == pytest.approx(one.log_prob, rel=1e-5, abs=1e-5)


def test_scores_of_given_translations_are_those_of_the_average(tmp_path: Path) -> None:
    seeds = (3, 8)
    sources = random_sources(member_config(3), 4, 9, 1)
    ensemble = TorchEnsemble(seeds, tuple(tuple(source.tolist()) for source in sources))
    targets = [[5, 9, 11], [7], [20, 21, 22, 23, 24], []]
    found = load(write_members(tmp_path, seeds)).score(sources, targets)
    for sentence, (target, score) in enumerate(zip(targets, found, strict=True)):
        ended = [*target, EOS]
        wanted = [ensemble.log_probs(History(sentence, sentence, tuple(ended[:i])))[t] for i, t in enumerate(ended)]
        np.testing.assert_allclose(score.token_scores, wanted, rtol=1e-4, atol=1e-4)


POLICIES: list[dict[str, Any]] = [
    {},
    {"policy": "nemo"},
    {"policy": "hf", "repetition_penalty": 1.3, "no_repeat_ngram": 2, "max_length": 12},
    {"policy": "sample", "seed": 3, "sampling_topk": 5},
]


@pytest.mark.parametrize("options", POLICIES, ids=["gnmt", "nemo", "hf", "sample"])
def test_a_model_with_itself_is_that_model(tmp_path: Path, options: dict[str, Any]) -> None:
    (path,) = write_members(tmp_path, [5])
    alone, together = load([path]), load([path, path, path])
    sources = random_sources(alone.config, 6, 12, 2)
    beam = 1 if options.get("policy") == "sample" else 4
    keywords: Any = {"beam_size": beam, "num_hypotheses": beam, "max_length_delta": 10, **options}
    wanted, found = (model.generate(sources, **keywords).hypotheses for model in (alone, together))
    for one, other in zip(found, wanted, strict=True):
        assert_same(one, other)


def test_attention_is_the_first_models(tmp_path: Path) -> None:
    paths = write_members(tmp_path, [5, 1])
    first, together = load(paths[:1]), load(paths)
    sources = random_sources(first.config, 5, 12, 2)
    for source, found in zip(sources, together.generate(sources, attention=True, beam_size=3).hypotheses, strict=True):
        (alone,) = first.generate(
            [source], attention=True, target_prefix=[found[0].tokens], max_length=max(1, len(found[0].tokens))
        ).hypotheses[0]
        assert found[0].attention is not None and alone.attention is not None
        np.testing.assert_allclose(
            found[0].attention[: len(found[0].tokens)], alone.attention[: len(found[0].tokens)], atol=1e-5
        )


def hypotheses_bits(model: nmt_trt.Model, sources: Any, **options: Any) -> list[Any]:
    return [bits(found) for found in model.generate(sources, beam_size=3, num_hypotheses=3, **options).hypotheses]


def test_no_ensemble_is_the_model_alone(tmp_path: Path) -> None:
    (path,) = write_members(tmp_path, [5])
    alone = nmt_trt.load(path, backend="onnxruntime", threads=1)
    assert "models" not in alone.backend
    sources = random_sources(alone.config, 3, 12, 2)
    assert hypotheses_bits(load([path]), sources) == hypotheses_bits(alone, sources)


def test_the_batch_does_not_matter(tmp_path: Path) -> None:
    model = load(write_members(tmp_path, [1, 2, 4]))
    sources = random_sources(model.config, 9, 20, 5)
    options: Any = {"beam_size": 3, "num_hypotheses": 3, "max_length_delta": 20}
    alone: list[list[Hypothesis]] = [model.generate([source], **options).hypotheses[0] for source in sources]
    for batch_size in (2, 9):
        for found, wanted in zip(
            model.generate(sources, batch_size=batch_size, **options).hypotheses, alone, strict=True
        ):
            assert_same(found, wanted)
    exact = hypotheses_bits(model, sources, deterministic=True)
    assert hypotheses_bits(model, sources[::-1], deterministic=True, batch_size=4) == exact[::-1]


def test_positions_are_the_fewest_of_all(tmp_path: Path) -> None:
    paths = [*write_members(tmp_path, [1]), *write_members(tmp_path, [2], max_positions=10)]
    for order in (paths, paths[::-1]):
        model = load(order)
        assert (model.config.encoder.max_positions, model.config.decoder.max_positions) == (10, 10)
        assert model.config.decoder.num_layers == read_config(order[0]).decoder.num_layers
        with pytest.raises(SourceError, match="has 11 tokens; the model's limit is 10"):
            model.generate([[BOS, *[5] * 9, EOS]])
        assert model.generate([[BOS, *[5] * 8, EOS]], max_length_delta=-1).sequences[0].size <= 10


def test_nan_in_any_model_is_reported(tmp_path: Path) -> None:
    (path,) = write_members(tmp_path, [1])
    config = member_config(2)
    weights = random_weights(config, 2)
    weights["output.bias"][7] = np.nan
    write_model_directory(tmp_path / "bad", config, weights, {})
    with pytest.raises(BackendError, match="NaN"):
        load([path, tmp_path / "bad"]).generate([[BOS, 5, EOS]])


def test_all_that_differs_is_named_at_once(tmp_path: Path) -> None:
    write_random_model(tmp_path / "a", 1, shared_embeddings=False)
    (b,) = write_members(tmp_path, [2])
    ours = read_config(tmp_path / "a")
    specials = ours.special_tokens.model_copy(update={"eos": 4})
    config = member_config(3).model_copy(update={"special_tokens": specials})
    write_model_directory(tmp_path / "c", config, random_weights(config, 3), {})
    with pytest.raises(UsageError) as error:
        load([tmp_path / "a", b, tmp_path / "c"])
    assert str(error.value) == (
        f"the models of an ensemble must have the vocabularies of {tmp_path / 'a'}: "
        f"{b} has a source vocabulary of size 41, not {ours.encoder.vocab_size}; "
        f"{b} has a target vocabulary of size 37, not {ours.decoder.vocab_size}; "
        f"{tmp_path / 'c'} has a source vocabulary of size 41, not {ours.encoder.vocab_size}; "
        f"{tmp_path / 'c'} has a target vocabulary of size 37, not {ours.decoder.vocab_size}; "
        f"{tmp_path / 'c'} has target eos 4, not 3"
    )


def test_ensemble_is_a_list_of_model_directories(tmp_path: Path) -> None:
    (path,) = write_members(tmp_path, [1])
    with pytest.raises(UsageError, match="ensemble must be a list of model directories; given '.*/1'"):
        nmt_trt.load(path, ensemble=str(path), backend="onnxruntime")
    with pytest.raises(ModelDirectoryError, match="nowhere: not a model directory"):
        load([path, tmp_path / "nowhere"])


def write_text_model(path: Path, seed: int, **options: Any) -> Path:
    """A model directory with tokenizers."""
    nmt_trt.build(write_random_nemo(path.with_suffix(".nemo"), seed=seed, **options).path, path)
    return path


def test_text_is_cut_and_joined_by_the_first_models_tokenizers(tmp_path: Path) -> None:
    paths = [write_text_model(tmp_path / "a", 1), write_text_model(tmp_path / "b", 2, decoder_layers=1, hidden_size=32)]
    model = load(paths)
    assert model.translate("") == ""
    (best, *_), *_ = model.generate([model._pipeline().encode("abc")]).hypotheses
    assert model.translate("abc") == model._pipeline().decode(best.tokens)
    (scored,) = model.score_text(["abc"], ["ab"])
    assert scored.log_prob == pytest.approx(float(scored.token_scores.sum()), rel=1e-5)


def test_other_tokenizer_files_are_refused(tmp_path: Path) -> None:
    a, b = (write_text_model(tmp_path / name, seed) for name, seed in (("a", 1), ("b", 2)))
    text = read_config(b).text
    assert text is not None
    (file,) = text.source_tokenizer.files
    (b / file).write_bytes((b / file).read_bytes() + b"\n")
    with pytest.raises(UsageError) as error:
        load([a, b])
    assert str(error.value).endswith(
        f"the source tokenizer's {b / file} is not {a / file}; the target tokenizer's {b / file} is not {a / file}"
    )
    c = write_text_model(tmp_path / "c", 3, r2l=True)
    with pytest.raises(UsageError, match="c has another kind of source tokenizer"):
        load([a, c])


def test_a_model_without_tokenizers_takes_the_others(tmp_path: Path) -> None:
    a = write_text_model(tmp_path / "a", 1)
    config = read_config(a).model_copy(update={"text": None})
    write_model_directory(tmp_path / "b", config, random_weights(config, 2), {})
    assert isinstance(load([a, tmp_path / "b"]).translate("abc"), str)
    with pytest.raises(UsageError, match="no tokenizer"):
        load([tmp_path / "b", a]).translate("abc")
