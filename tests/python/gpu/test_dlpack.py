"""Tensors on the GPU as input."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu.conftest import Load
from gpu.gpu_models import tokens, write_model
from random_models import PAD, random_sources

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def cuda_torch() -> None:
    """Skip without a torch that knows CUDA."""
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")


def test_cuda_tensors(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 4)
    model = load(tmp_path / "model")
    sources = random_sources(config, 5, 14, 4)
    wanted = tokens(model.generate(sources).hypotheses)
    padded = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(source) for source in sources], batch_first=True, padding_value=PAD
    ).cuda()
    for given in (padded, padded.long(), padded.t().contiguous().t(), [torch.from_numpy(s).cuda() for s in sources]):
        assert tokens(model.generate(given).hypotheses) == wanted


def test_work_that_is_still_under_way_on_the_producers_stream(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 4)
    model = load(tmp_path / "model")
    (source,) = random_sources(config, 1, 14, 4)
    wanted = model.generate([source]).sequences[0].tolist()
    for stream in (torch.cuda.current_stream(), torch.cuda.Stream()):
        with torch.cuda.stream(stream):
            ids = torch.zeros((1, source.size), dtype=torch.int32, device="cuda")
            torch.cuda._sleep(200_000_000)  # a tenth of a second of the GPU's clock
            ids.copy_(torch.from_numpy(source)[None].pin_memory(), non_blocking=True)
            assert model.generate(ids).sequences[0].tolist() == wanted
