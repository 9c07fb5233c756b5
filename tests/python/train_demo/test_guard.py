"""The demo's training never lets a step that is not finite into the weights."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[3] / "examples" / "train_demo"


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    from nmt_trt.models.transformer import Transformer
    from recipe import demo_config
    from train import Trainer

    torch.manual_seed(0)
    model = Transformer(demo_config(20, 8, 2, 16, 1, 1))
    return Trainer(Namespace(compile=False, rdrop=0.0, ema=0.9), model, torch.device("cpu"))


@pytest.fixture
def batch(trainer: Any) -> Any:
    from batches import Batch

    source = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    return Batch(source, torch.tensor([4, 3]), torch.tensor([[2, 8, 9, 3, 0], [2, 4, 4, 9, 3]]), 7)


def weights(trainer: Any) -> np.ndarray[Any, Any]:
    parts = [p.detach().flatten() for m in (trainer.model, trainer.average) for p in m.parameters()]
    values: np.ndarray[Any, Any] = torch.cat(parts).numpy()
    return values


def test_a_finite_step_updates(trainer: Any, batch: Any) -> None:
    before = weights(trainer).copy()
    trainer.step(batch, 1e-2)
    assert not np.array_equal(weights(trainer), before)
    assert trainer.skipped.item() == 0
    trainer.check()


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_skipped(trainer: Any, batch: Any, factor: float) -> None:
    trainer.step(batch, 1e-2)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    good = trainer.loss
    trainer.loss = lambda batch: tuple(part * factor for part in good(batch))
    trainer.step(batch, 1e-2)
    assert all(torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))
    assert trainer.skipped.item() == 1
    trainer.check()
    trainer.loss = good
    trainer.step(batch, 1e-2)
    assert not all(torch.equal(old, new) for old, new in zip(before, trainer.model.parameters(), strict=True))
    assert trainer.skipped.item() == 1
    assert np.isfinite(weights(trainer)).all()


def test_an_average_that_is_not_finite_stops_the_run(trainer: Any) -> None:
    next(trainer.average.parameters()).data[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="averaged weights"):
        trainer.check()
