"""The user's cache of plans: what is found, what is built again, who may write there."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest

from engines.conftest import GPU, TARGET, Logged
from nmt_trt.engines.builder import BuiltPlan
from nmt_trt.engines.builder import build_plan as really_build
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.plan_cache import PlanCache, open_plan_folder
from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, Range
from nmt_trt.errors import EngineBuildError, EngineError
from nmt_trt.gpu import Gpu

SPEC = PlanSpec("decoder_1", "fp32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "plans"


def plan_file(folder: Path) -> Path:
    (path,) = folder.glob("*.plan")
    return path


def test_a_plan_is_built_once(rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec]) -> None:
    first = PlanCache(directory, rtx, GPU, folder=folder).find_or_build(SPEC)
    again = PlanCache(directory, rtx, GPU, folder=folder).find_or_build(SPEC)
    assert builds == [SPEC]
    assert (first[2], again[2]) == (True, False)
    assert first[:2] == again[:2]
    assert PlanCache(directory, rtx, GPU, folder=folder).get(SPEC) == first[0]


def test_a_real_plan_survives(rtx: Flavour, directory: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*arguments: object, **keywords: object) -> BuiltPlan:
        return really_build(*arguments, **{**keywords, "target": TARGET})  # type: ignore[arg-type]

    monkeypatch.setattr("nmt_trt.engines.plan_cache.build_plan", build)
    plan, record, fresh = PlanCache(directory, rtx, GPU, folder=folder).find_or_build(SPEC)
    assert fresh
    assert record.plan_bytes == len(plan) == plan_file(folder).stat().st_size
    assert PlanCache(directory, rtx, GPU, folder=folder).find_or_build(SPEC) == (plan, record, False)


def test_models_that_want_a_plan_at_once_build_it_once(
    rtx: Flavour, directory: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = []

    def build(*_: object, **__: object) -> BuiltPlan:
        builds.append(threading.current_thread())
        time.sleep(0.2)
        return BuiltPlan(b"plan", 0.2, 1, b"")

    monkeypatch.setattr("nmt_trt.engines.plan_cache.build_plan", build)
    caches = [PlanCache(directory, rtx, GPU, folder=folder) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda cache: cache.get(SPEC), caches)) == [b"plan"] * 3
    assert len(builds) == 1


def test_the_manifest_tells_what_the_plan_is(
    rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec]
) -> None:
    PlanCache(directory, rtx, GPU, folder=folder).get(SPEC)
    manifest = json.loads(plan_file(folder).with_suffix(".json").read_bytes())
    assert manifest["layers"] == 7
    assert manifest["seconds"] == 0.25
    origin = manifest["origin"]
    assert (origin["flavour"], origin["library"]) == ("tensorrt-rtx", rtx.build)
    assert origin["target"] == "Test GPU sm_86"
    assert origin["dimensions"] == {"R": {"min": 2, "opt": 32, "max": 512}}
    assert set(origin["weights_sha256"]) == {"weights.safetensors"}


@pytest.mark.parametrize("change", ["graph", "weights", "library", "gpu", "capability", "precision", "rows"])
def test_whatever_a_plan_depends_on_makes_another_plan(
    rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec], change: str
) -> None:
    before = PlanCache(directory, rtx, GPU, folder=folder).get(SPEC)
    flavour, gpu, spec = rtx, GPU, SPEC
    if change == "graph":
        model = onnx.load(directory / "decoder_1.onnx", load_external_data=False)
        model.doc_string = "another"
        onnx.save(model, directory / "decoder_1.onnx")
    elif change == "weights":
        weights = bytearray((directory / "weights.safetensors").read_bytes())
        weights[-1] ^= 1
        (directory / "weights.safetensors").write_bytes(weights)
    elif change == "library":
        flavour = dataclasses.replace(rtx, build="1.4.0.77")
    elif change == "gpu":
        gpu = Gpu("Other GPU", GPU.memory, GPU.capability)
    elif change == "capability":
        gpu = Gpu(GPU.name, GPU.memory, (8, 9))
    elif change == "precision":
        spec = PlanSpec("decoder_1", "fp16")
    else:
        spec = PlanSpec("decoder_1", "fp32", EngineShapes(beam=Range(1, 4, 4)))
    assert PlanCache(directory, flavour, gpu, folder=folder).get(spec) != before
    assert len(builds) == 2
    assert PlanCache(directory, flavour, gpu, folder=folder).get(spec)
    assert len(builds) == 2


def test_what_a_plan_does_not_depend_on_keeps_it(
    rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec], tmp_path: Path
) -> None:
    """The place of the directory, the sources of other plans, and a limit that nobody asked for."""
    PlanCache(directory, rtx, GPU, folder=folder, workspace_bytes=1 << 20).get(SPEC)
    moved = directory.rename(tmp_path / "moved")
    longer = PlanSpec("decoder_1", "fp32", EngineShapes(source=Range(1, 8, 16)))
    assert PlanCache(moved, rtx, GPU, folder=folder).get(longer)
    assert len(builds) == 1
    PlanCache(moved, rtx, GPU, folder=folder, workspace_bytes=1 << 21).get(SPEC)
    assert len(builds) == 2


@pytest.mark.parametrize("damage", ["flipped", "truncated", "manifest", "other origin", "not a manifest"])
def test_a_damaged_plan_is_built_again_saying_so(
    rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec], logged: Logged, damage: str
) -> None:
    cache = PlanCache(directory, rtx, GPU, folder=folder)
    cache.get(SPEC)
    path = plan_file(folder)
    plan, manifest = path.read_bytes(), json.loads(path.with_suffix(".json").read_bytes())
    if damage == "flipped":
        path.write_bytes(plan[:-1] + bytes([plan[-1] ^ 1]))
    elif damage == "truncated":
        path.write_bytes(plan[:-1])
    elif damage == "not a manifest":
        path.with_suffix(".json").write_bytes(b"{")
    else:
        if damage == "manifest":
            manifest["plan_sha256"] = "0" * 64
        else:
            manifest["origin"]["graph_sha256"] = "0" * 64
        path.with_suffix(".json").write_text(json.dumps(manifest))
    assert cache.get(SPEC) == b"decoder_1-fp32-r2.32.512, build 2"
    assert len(builds) == 2
    assert logged() and "building it again" in logged()[0] and str(path) in logged()[0]
    assert cache.get(SPEC) == b"decoder_1-fp32-r2.32.512, build 2"
    assert len(builds) == 2


def test_a_plan_without_manifest_is_no_plan(
    rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec]
) -> None:
    """As a process leaves it that dies between the two writes."""
    cache = PlanCache(directory, rtx, GPU, folder=folder)
    cache.get(SPEC)
    plan_file(folder).with_suffix(".json").unlink()
    cache.get(SPEC)
    assert len(builds) == 2


def test_a_failed_build_leaves_nothing(
    rtx: Flavour, directory: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> BuiltPlan:
        raise EngineBuildError("no")

    monkeypatch.setattr("nmt_trt.engines.plan_cache.build_plan", fail)
    with pytest.raises(EngineBuildError):
        PlanCache(directory, rtx, GPU, folder=folder).get(SPEC)
    assert [path.suffix for path in folder.iterdir() if path.name != "file-hashes.json"] == [".lock"]


def test_a_failed_write_leaves_what_was_there(
    rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PlanCache(directory, rtx, GPU, folder=folder)
    cache.get(SPEC)
    path = plan_file(folder)
    path.write_bytes(b"damaged")
    before = sorted(entry.name for entry in folder.iterdir())
    monkeypatch.setattr(os, "replace", _full_disk)
    with pytest.raises(EngineError, match="cannot be written: No space left on device"):
        cache.get(SPEC)
    assert path.read_bytes() == b"damaged"
    assert sorted(entry.name for entry in folder.iterdir()) == before


def _full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_folder_is_the_users_own(folder: Path) -> None:
    old = os.umask(0)
    try:
        open_plan_folder(folder)
    finally:
        os.umask(old)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(EngineError, match=f"chmod 700 {folder}"):
        open_plan_folder(folder)


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_plan_folder(folder)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(EngineError, match="belongs to another user"):
        open_plan_folder(folder)


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("NMT_TRT_CACHE", str(tmp_path / "file"))
    with pytest.raises(EngineError, match="set NMT_TRT_CACHE to another place"):
        open_plan_folder()


def test_plans_are_readable_by_their_owner_alone(
    rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec]
) -> None:
    PlanCache(directory, rtx, GPU, folder=folder).get(SPEC)
    assert stat.S_IMODE(plan_file(folder).stat().st_mode) == 0o600


def test_timings_are_given_to_the_next_build(
    rtx: Flavour, directory: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def build(*_: object, timing_cache: bytes, **__: object) -> BuiltPlan:
        given.append(timing_cache)
        return BuiltPlan(b"plan", 0.0, 1, b"timings %d" % len(given))

    monkeypatch.setattr("nmt_trt.engines.plan_cache.build_plan", build)
    cache = PlanCache(directory, rtx, GPU, folder=folder)
    for index in range(3):
        cache.get(PlanSpec(f"decoder_{index}", "fp32"))
    assert given == [b"", b"timings 1", b"timings 2"]


def test_runtime_caches_of_versions_and_gpus_do_not_meet(rtx: Flavour, directory: Path, folder: Path) -> None:
    newer = dataclasses.replace(rtx, build="1.4.1.1")
    other = Gpu("NVIDIA RTX/../6000", 1, (8, 9))
    caches = [PlanCache(directory, f, g, folder=folder) for f, g in ((rtx, GPU), (newer, GPU), (rtx, other))]
    paths = {cache.runtime_cache_path for cache in caches}
    assert len(paths) == 3
    assert {path.parent for path in paths} == {folder}


def test_big_files_are_hashed_once(
    rtx: Flavour, directory: Path, folder: Path, builds: list[PlanSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    PlanCache(directory, rtx, GPU, folder=folder).get(SPEC)

    def never(*_: object) -> None:
        raise AssertionError("hashed again")

    monkeypatch.setattr("hashlib.file_digest", never)
    PlanCache(directory, rtx, GPU, folder=folder).get(SPEC)
    os.utime(directory / "weights.safetensors", ns=(1, 1))
    with pytest.raises(AssertionError, match="hashed again"):
        PlanCache(directory, rtx, GPU, folder=folder).get(SPEC)
