"""`policy="nemo"` finds exactly what the real NeMo's beam search finds, its quirks included."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import nmt_trt
from nemo_reference.archives import write_archive
from nemo_reference.cases import SEEDS, Case, Hypothesis, case

TOLERANCE = 1e-4


def generate_as_nemo(model: nmt_trt.Model, given: Case) -> list[list[Hypothesis]]:
    """A model's hypotheses of each sentence of a case, best first."""
    result = model.generate(
        [list(row) for row in given.sources],
        policy="nemo",
        beam_size=given.beam_size,
        num_hypotheses=given.beam_size,
        length_penalty=given.length_penalty,
        max_length_delta=given.max_length_delta,
    )
    return [
        [Hypothesis(tuple(found.tokens.tolist()), found.score, found.log_prob) for found in hypotheses]
        for hypotheses in result.hypotheses
    ]


def generated(directory: Path, given: Case) -> list[list[Hypothesis]]:
    """Our hypotheses of each sentence, best first."""
    nmt_trt.build(write_archive(directory / "model.nemo", given.model), directory / "model")
    model = nmt_trt.load(directory / "model", backend="onnxruntime", threads=1)
    return generate_as_nemo(model, given)


@pytest.mark.parametrize("seed", SEEDS)
def test_hypotheses_match_nemo(seed: int, tmp_path: Path) -> None:
    given = case(seed)
    expected, found = given.expected, generated(tmp_path, given)
    assert [[h.tokens for h in sentence] for sentence in found] == [
        [h.tokens for h in sentence] for sentence in expected
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], rel=0, abs=TOLERANCE)
        assert [h.log_prob for h in ours] == pytest.approx([h.log_prob for h in theirs], rel=0, abs=TOLERANCE)


def test_the_first_hypothesis_is_the_one_that_nemo_chooses() -> None:
    for seed in SEEDS:
        given = case(seed)
        ends = (given.architecture.eos, given.architecture.pad)
        best = [tuple(token for token in row[1:] if token not in ends) for row in given.beams.best.tolist()]
        assert [sentence[0].tokens for sentence in given.expected] == best


def quirks(given: Case) -> set[str]:
    """What of NeMo's behaviour a case exercises."""
    eos, pad, bos = given.architecture.eos, given.architecture.pad, given.architecture.bos
    beams = given.beams
    shown = set()
    if given.max_length_delta >= 0:
        limit = given.source_ids.shape[1] + given.max_length_delta
        if beams.tokens.shape[2] - 1 < min(limit, given.architecture.max_sequence_length):
            shown.add("stops early")
    for row in beams.tokens.flatten(0, 1).tolist():
        if row[1] in (eos, pad) and any(token not in (eos, pad) for token in row[2:]):
            shown.add("EOS first goes on" if row[1] == eos else "PAD first goes on")
        if bos in row[1:]:
            shown.add("BOS inside")
        if pad in row[2:] and eos not in row:
            shown.add("PAD ends")
    for index, source in enumerate(given.sources):
        alone = given.search(given.source_ids[index : index + 1, : len(source)])
        size = min(alone.best.shape[1], beams.best.shape[1])
        if alone.best[0, :size].tolist() != beams.best[index, :size].tolist():
            shown.add("depends on the batch")
    return shown


def test_the_cases_show_every_quirk() -> None:
    shown = Counter(quirk for seed in SEEDS for quirk in quirks(case(seed)))
    assert shown.keys() == {
        "stops early",
        "EOS first goes on",
        "PAD first goes on",
        "BOS inside",
        "PAD ends",
        "depends on the batch",
    }, shown
