"""Runs the core's search over a transformers model, which reads every hypothesis whole: no cache, no importer."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hf_reference.cases import Case
from nmt_trt import _core
from search.cases import Found


def run(case: Case, *, compacts: bool = True) -> list[list[Found]]:
    """The core's hypotheses of each sentence; with `compacts` finished sentences leave the batch at once."""
    given = dict(case.options)
    search = _core.BeamSearch(
        policy="hf",
        eos=case.eos,
        pad=case.pad,
        bos=case.model.start,
        vocab_size=case.model.vocab_size,
        max_lengths=np.full(len(case.sources), given.pop("max_length"), np.int32),
        **given,
    )
    rows = list(range(len(case.sources)))
    tokens: list[NDArray[np.int32]] = []
    start = np.full((len(rows), 1), case.model.start)
    search.start(next_logits(case, rows, start[:, None])[:, 0])
    while not search.done:
        tokens.append(search.tokens())
        if compacts and search.finished_rows:
            kept = search.compact()
            rows = [rows[old] for old in kept]
            tokens = [step[kept] for step in tokens]
        search.advance(next_logits(case, rows, histories(start, tokens, search.ancestry())))
    return [
        [Found(tuple(found.tokens.tolist()), found.score, found.log_prob) for found in sentence]
        for sentence in search.results()
    ]


def histories(
    start: NDArray[np.int64], tokens: list[NDArray[np.int32]], ancestry: NDArray[np.int32]
) -> NDArray[np.int64]:
    """The hypotheses, [R,K,1+steps], from the tokens [R,K] of each step and the ancestry [R,K,steps]."""
    steps = np.stack(tokens, axis=1)
    generated = np.take_along_axis(steps, ancestry.transpose(0, 2, 1), axis=2).transpose(0, 2, 1)
    first = np.broadcast_to(start[: len(generated), None], (*generated.shape[:2], 1))
    return np.concatenate((first, generated), axis=2)


def next_logits(case: Case, rows: list[int], given: NDArray[np.int64]) -> NDArray[np.float32]:
    """The model's logits, float32 [R,K,V], behind hypotheses [R,K,T] of the sentences `rows`."""
    beam = given.shape[1]
    with torch.no_grad():
        output = case.model.model(
            input_ids=case.source_ids[rows].repeat_interleave(beam, dim=0),
            attention_mask=case.attention_mask[rows].repeat_interleave(beam, dim=0),
            decoder_input_ids=torch.tensor(given.reshape(-1, given.shape[2]), dtype=torch.int64),
        )
    logits: NDArray[np.float32] = output.logits[:, -1].numpy()
    return logits.reshape(len(rows), beam, -1).copy()
