"""An imported archive computes what the real NeMo modules that it was saved from compute."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nemo_reference.archives import write_archive
from nemo_reference.cases import SEEDS, Case, case
from nmt_trt.models.nemo import import_nemo
from nmt_trt.models.transformer import Transformer

TOLERANCE = 1e-4


def imported(archive: Path) -> Transformer:
    """The archive's model as torch modules."""
    model = import_nemo(archive)
    transformer = Transformer(model.config)
    transformer.load_state_dict({name: torch.tensor(array) for name, array in model.weights.items()})
    return transformer.eval().requires_grad_(False)


def targets(given: Case) -> torch.Tensor:
    """Random target prefixes [B,12] without PAD, start token first."""
    architecture = given.architecture
    ordinary = torch.tensor([token for token in range(architecture.target_vocab_size) if token != architecture.pad])
    draw = torch.Generator().manual_seed(given.seed)
    chosen = torch.randint(len(ordinary), (len(given.sources), 12), generator=draw)
    chosen = ordinary[chosen]
    chosen[:, 0] = architecture.bos
    return chosen


@pytest.mark.parametrize("seed", SEEDS)
def test_encoder_and_decoder_match_nemo(seed: int, tmp_path: Path) -> None:
    given = case(seed)
    ours = imported(write_archive(tmp_path / "model.nemo", given.model))
    lengths = torch.tensor([len(row) for row in given.sources])
    real = torch.arange(given.source_ids.shape[1]) < lengths[:, None]

    memory = ours.encode(given.source_ids, lengths)
    torch.testing.assert_close(memory[real], given.model.encode(given.source_ids)[real], rtol=0, atol=TOLERANCE)

    target_ids = targets(given)
    log_probs = ours.decode(target_ids, memory, lengths).log_softmax(-1)
    expected = given.model.teacher_forced(given.source_ids, target_ids)
    torch.testing.assert_close(log_probs, expected, rtol=0, atol=TOLERANCE)
