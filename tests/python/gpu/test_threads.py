"""Several models, and several threads, at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpu.conftest import Load
from gpu.gpu_models import tokens, write_model
from random_models import random_sources

ROUNDS = 5


def test_two_models_in_two_threads(tmp_path: Path, load: Load) -> None:
    models, sources, wanted = [], [], []
    for seed in (4, 5):
        config = write_model(tmp_path / str(seed), seed)
        models.append(load(tmp_path / str(seed)))
        sources.append(random_sources(config, 8, 14, seed))
        wanted.append(tokens(models[-1].generate(sources[-1]).hypotheses))

    def work(index: int) -> list[list[list[int]]]:
        return [tokens(models[index].generate(sources[index]).hypotheses) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, (0, 1))) == [[each] * ROUNDS for each in wanted]


def test_two_models_made_in_two_threads(tmp_path: Path, load: Load, own_cache: Path) -> None:
    """Both build the same plans into one empty folder at the same time."""
    config = write_model(tmp_path / "model", 4)
    sources = random_sources(config, 3, 14, 4)

    def work(_: int) -> list[list[int]]:
        return tokens(load(tmp_path / "model").generate(sources).hypotheses)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(work, (0, 1))
    assert first == second
    assert len(list(own_cache.glob("*.plan"))) == config.encoder.num_layers + 1 + 2 * config.decoder.num_layers + 1


def test_one_model_from_four_threads(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 4)
    model = load(tmp_path / "model")
    batches = [random_sources(config, 3, 14, seed) for seed in range(4)]
    wanted = [tokens(model.generate(batch).hypotheses) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(ROUNDS):
            assert [tokens(result.hypotheses) for result in pool.map(model.generate, batches)] == wanted
