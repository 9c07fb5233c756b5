"""Policy nemo over an ensemble finds exactly what the real NeMo's ensemble search finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import nmt_trt
from nemo_reference.archives import write_archive
from nemo_reference.cases import Case, case, random_architecture
from nemo_reference.modules import NemoBeams, NemoModel, ensemble_beam_search, random_nemo_model
from nemo_reference.test_policy_nemo import TOLERANCE, generate_as_nemo

SEEDS = range(20)


@dataclass(frozen=True)
class EnsembleCase(Case):
    """A case that several models search together; `model` is the first of them.

    Attributes:
        others: seeds of the other models.
    """

    others: tuple[int, ...] = ()

    @cached_property
    def models(self) -> list[NemoModel]:
        """All models: one vocabulary, any size."""
        return [self.model, *(random_nemo_model(seed, self._architecture_of(seed)) for seed in self.others)]

    def _architecture_of(self, seed: int) -> Any:
        ours = self.architecture
        return replace(
            random_architecture(seed),
            source_vocab_size=ours.source_vocab_size,
            target_vocab_size=ours.target_vocab_size,
            special_tokens=ours.special_tokens,
            shared_embeddings=False,
        )

    def search(self, source_ids: Tensor) -> NemoBeams:
        """What NeMo's ensemble search finds with the case's options."""
        return ensemble_beam_search(
            self.models,
            source_ids,
            beam_size=self.beam_size,
            length_penalty=self.length_penalty,
            max_length_delta=self.max_length_delta,
        )


def ensemble_case(seed: int) -> EnsembleCase:
    """The batch and options of a seed's case, searched by two or three models, the first that hang on no rounding."""
    given = {name: getattr(case(seed), name) for name in case(seed).__dataclass_fields__}
    others = (tuple(1000 * attempt + 100 * i + seed for i in range(1, 2 + seed % 2)) for attempt in count(1))
    cases = (EnsembleCase(**given, others=chosen) for chosen in others)
    return next(drawn for drawn in cases if drawn.decided)


@pytest.mark.parametrize("seed", SEEDS)
def test_hypotheses_match_nemo(seed: int, tmp_path: Path) -> None:
    given = ensemble_case(seed)
    paths = []
    for number, model in enumerate(given.models):
        paths.append(tmp_path / f"model{number}")
        nmt_trt.build(write_archive(tmp_path / f"{number}.nemo", model), paths[-1])
    ensemble = nmt_trt.load(paths[0], ensemble=paths[1:], backend="onnxruntime", threads=1)
    for ours, theirs in zip(generate_as_nemo(ensemble, given), given.expected, strict=True):
        assert [one.tokens for one in ours] == [one.tokens for one in theirs]
        assert [one.score for one in ours] == pytest.approx([one.score for one in theirs], rel=0, abs=TOLERANCE)
        assert [one.log_prob for one in ours] == pytest.approx([one.log_prob for one in theirs], rel=0, abs=TOLERANCE)
