"""Each thing that can be wrong with engines is one clear error or a warning, and the next request is served."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu.conftest import SMALL, Load
from gpu.gpu_models import write_model
from nmt_trt import Model
from nmt_trt.engines.builder import build_plan
from nmt_trt.engines.directory_plans import MANIFEST_FILE, Manifest, build_directory_plans
from nmt_trt.engines.flavours import FlavourName, load_flavour
from nmt_trt.engines.plan_cache import architecture
from nmt_trt.engines.plan_record import PlanRecord
from nmt_trt.engines.plan_spec import PlanSpec, Range, model_plans, model_shapes
from nmt_trt.errors import EngineError, OutOfMemoryError, SourceError
from nmt_trt.gpu import find_gpus
from nmt_trt.model_directory import read_config
from random_models import BOS, EOS, random_sources

SOURCES = [[BOS, 5, 6, EOS], [BOS, 7, EOS]]
SEED = 4
TRUSTING: dict[str, object] = {"trust_engines": True, "batch": None, "source": None, "beam": None}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_model(tmp_path / "model", SEED)
    return tmp_path / "model"


@pytest.fixture
def wanted(directory: Path, load: Load) -> list[list[int]]:
    """What the model generates when nothing is wrong."""
    return generated(load(directory))


def generated(model: Model) -> list[list[int]]:
    return [sequence.tolist() for sequence in model.generate(SOURCES).sequences]


def test_truncated_plans_and_damaged_kernels_in_the_cache(
    directory: Path, load: Load, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = generated(load(directory))
    plans = sorted(own_cache.glob("*.plan"))
    assert len(plans) > 2
    for path in (*plans, *own_cache.glob("*.runtime-cache")):
        path.write_bytes(path.read_bytes()[:1000])
    caplog.clear()
    assert generated(load(directory)) == wanted
    for path in plans:
        assert f"{path}: damaged, building it again" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="nmt_trt"):
        assert generated(load(directory)) == wanted
    assert "building" not in caplog.text


@pytest.fixture
def engines(directory: Path, flavour: FlavourName) -> Path:
    """The folder of engines built ahead of time into the model directory."""
    builder, own = load_flavour(flavour), architecture(find_gpus()[0])
    target = "sm_80" if own == "sm_90" else own
    if target not in builder.targets:
        pytest.skip(f"{builder.title} builds no engines ahead of time for {own}")
    build_directory_plans(directory, _specs(directory), builder, target)
    (folder,) = (directory / "engines").iterdir()
    return folder


def _specs(directory: Path) -> list[PlanSpec]:
    config = read_config(directory)
    shapes = model_shapes(config, **{name: Range.parse(size) for name, size in SMALL.items()})
    return model_plans(config, "fp32", shapes)


def replace_encoder(folder: Path, change: Callable[[bytes], bytes]) -> Path:
    """Put other bytes in place of the encoder's first plan, in the manifest as well; returns the plan's file."""
    (path,) = folder.glob("encoder_0-*.plan")
    plan = change(path.read_bytes())
    path.write_bytes(plan)
    manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    first = manifest.plans[0]
    assert first.origin.graph == "encoder_0"
    changed = PlanRecord(**{**dict(first), "plan_sha256": hashlib.sha256(plan).hexdigest(), "plan_bytes": len(plan)})
    content = manifest.model_copy(update={"plans": (changed, *manifest.plans[1:])}).model_dump_json()
    (folder / MANIFEST_FILE).write_text(content)
    return path


def test_trusted_engines_are_used_and_others_are_not(
    directory: Path, load: Load, engines: Path, own_cache: Path
) -> None:
    wanted = generated(load(directory, **TRUSTING))
    assert list(own_cache.glob("*.plan")) == []
    for path in engines.glob("*.plan"):
        path.write_bytes(b"not a plan")
    assert generated(load(directory)) == wanted


@pytest.mark.parametrize("kind", ["another graph", "not a plan"])
def test_a_wrong_plan_in_a_trusted_directory(
    directory: Path, load: Load, engines: Path, wanted: list[list[int]], kind: str
) -> None:
    def change(plan: bytes) -> bytes:
        if kind == "another graph":
            (other,) = engines.glob("encoder_1-*.plan")
            return other.read_bytes()
        return b"\0" * len(plan)

    path = replace_encoder(engines, change)
    model = load(directory, **TRUSTING)
    for _ in range(2):
        with pytest.raises(EngineError):
            model.generate(SOURCES)
    path.unlink()  # so that the plan cache has to serve
    assert generated(model) == wanted


def test_a_plan_for_another_gpu_fails_or_works(
    directory: Path, load: Load, engines: Path, flavour: FlavourName, wanted: list[list[int]]
) -> None:
    foreign = "sm_120" if find_gpus()[0].capability < (12, 0) else "sm_75"
    plan = build_plan(directory, _specs(directory)[0], flavour=load_flavour(flavour), target=foreign).plan
    path = replace_encoder(engines, lambda _: plan)
    model = load(directory, **TRUSTING)
    try:
        assert generated(model) == wanted  # TensorRT-RTX 1.4 on an H200: its kernels are compiled where they run
    except EngineError:
        path.unlink()
        assert generated(model) == wanted


def test_engines_of_another_version_are_ignored(
    directory: Path, load: Load, engines: Path, wanted: list[list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    engines.rename(engines.with_name("tensorrt-rtx-9.9.9-sm_80"))
    assert generated(load(directory, **{**TRUSTING, **SMALL})) == wanted
    assert "no fp32 engines for" in caplog.text and "tensorrt-rtx-9.9.9-sm_80" in caplog.text


def test_a_library_that_is_not_there_or_something_else(directory: Path, load: Load, wanted: list[list[int]]) -> None:
    with pytest.raises(EngineError, match="/nowhere/libnvinfer.so does not exist"):
        load(directory, tensorrt_library="/nowhere/libnvinfer.so")
    (directory / "text.so").write_text("not a library")
    with pytest.raises(EngineError, match="text.so"):
        load(directory, tensorrt_library=directory / "text.so")
    assert generated(load(directory)) == wanted


def test_a_source_longer_than_the_engines_take(directory: Path, load: Load, wanted: list[list[int]]) -> None:
    model = load(directory)
    with pytest.raises(SourceError, match=r"src_ids\[1\] has 33 tokens; the engines take input_ids of 1 to 32"):
        model.generate([[BOS, EOS], [BOS, *[5] * 31, EOS]])
    assert generated(model) == wanted


def test_out_of_memory(directory: Path, load: Load, wanted: list[list[int]]) -> None:
    free = load(directory, batch="1:8:64")
    assert generated(free) == wanted
    small = sum(free.memory.values())
    limited = load(directory, batch="1:8:64", memory_limit=small)
    assert generated(limited) == wanted
    many = random_sources(limited.config, 64, 20, 1)
    with pytest.raises(OutOfMemoryError, match=f"memory_limit is {small}"):
        limited.generate(many, max_length_delta=-1)
    assert sum(limited.memory.values()) <= small
    assert generated(limited) == wanted
    assert len(free.generate(many, max_length_delta=-1).sequences) == 64
    with pytest.raises(OutOfMemoryError):
        load(directory, memory_limit=1).generate(SOURCES)
