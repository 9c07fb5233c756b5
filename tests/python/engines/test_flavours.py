"""Which TensorRT packages are taken, and how their differences are met."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from nmt_trt.engines import flavours
from nmt_trt.engines.flavours import find_flavours, load_flavour
from nmt_trt.engines.tensorrt_log import forget_errors, said_errors
from nmt_trt.errors import EngineError, UsageError


class _Severity:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class _Logger:
    Severity = _Severity


def fake_module(name: str, version: str, **more: Any) -> ModuleType:
    """Bindings that have a version and a logger, and nothing else but `more`."""
    module = ModuleType(name)
    module.__dict__.update(__version__=version, ILogger=_Logger, **more)
    return module


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No package can be imported but those that a test puts into sys.modules."""
    for names in flavours._MODULES.values():
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)
    load_flavour.cache_clear()
    yield monkeypatch
    load_flavour.cache_clear()


def test_nothing_installed(nothing_installed: pytest.MonkeyPatch) -> None:
    assert find_flavours() == []
    with pytest.raises(EngineError, match=r"pip install tensorrt-rtx$"):
        load_flavour("tensorrt-rtx")


def test_tensorrt_comes_first(nothing_installed: pytest.MonkeyPatch) -> None:
    nothing_installed.setitem(sys.modules, "tensorrt", fake_module("tensorrt", "10.16.0.72"))
    nothing_installed.setitem(sys.modules, "tensorrt_rtx_bindings", fake_module("tensorrt_rtx_bindings", "1.4.0.76"))
    found = find_flavours()
    assert [(flavour.name, flavour.version, flavour.build) for flavour in found] == [
        ("tensorrt", "10.16.0", "10.16.0.72"),
        ("tensorrt-rtx", "1.4.0", "1.4.0.76"),
    ]
    assert [flavour.has_timing_cache for flavour in found] == [True, False]


def test_the_whole_package_is_preferred_to_its_bindings(nothing_installed: pytest.MonkeyPatch) -> None:
    for name, version in (("tensorrt_rtx", "1.4.0.1"), ("tensorrt_rtx_bindings", "1.4.0.2")):
        nothing_installed.setitem(sys.modules, name, fake_module(name, version))
    assert load_flavour("tensorrt-rtx").build == "1.4.0.1"


@pytest.mark.parametrize("version", ["8.6.1", "9.3.0.1", "12.0.0.1"])
def test_unknown_versions_are_not_taken(nothing_installed: pytest.MonkeyPatch, version: str) -> None:
    nothing_installed.setitem(sys.modules, "tensorrt", fake_module("tensorrt", version))
    with pytest.raises(EngineError, match=f"{version}: expected at least 10.14 and below 12.0"):
        load_flavour("tensorrt")


def test_a_package_that_does_not_load_says_why(nothing_installed: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "tensorrt.py").write_text("raise OSError('libnvinfer.so.10: cannot open shared object file')")
    nothing_installed.delitem(sys.modules, "tensorrt")
    nothing_installed.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match="libnvinfer.so.10: cannot open shared object file"):
        load_flavour("tensorrt")


def test_10_is_told_to_type_strongly_and_11_need_not_be(nothing_installed: pytest.MonkeyPatch) -> None:
    ten = SimpleNamespace(EXPLICIT_BATCH=0, STRONGLY_TYPED=1)
    eleven = SimpleNamespace(EXPLICIT_BATCH=0)
    for flags, wanted in ((ten, 2), (eleven, 0)):
        module = fake_module("tensorrt", "10.16.0.72", NetworkDefinitionCreationFlag=flags)
        nothing_installed.setitem(sys.modules, "tensorrt", module)
        load_flavour.cache_clear()
        assert load_flavour("tensorrt").network_flags == wanted


def test_tensorrt_builds_for_this_machine_alone(nothing_installed: pytest.MonkeyPatch) -> None:
    nothing_installed.setitem(sys.modules, "tensorrt", fake_module("tensorrt", "10.16.0.72"))
    config = SimpleNamespace()
    load_flavour("tensorrt").set_target(config, None)
    assert vars(config) == {}
    with pytest.raises(UsageError, match="builds for this machine's GPU only; given target 'sm_86'"):
        load_flavour("tensorrt").set_target(config, "sm_86")


def test_rtx_knows_its_targets(rtx: flavours.Flavour) -> None:
    assert {"sm_75", "sm_80", "sm_86", "sm_89", "sm_120"} <= set(rtx.targets)
    with pytest.raises(UsageError, match="target must be one of sm_75, .*; given 'sm_61'"):
        rtx.check_target("sm_61")


def test_messages_go_to_logging_and_errors_are_kept(
    nothing_installed: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nothing_installed.setitem(sys.modules, "tensorrt", fake_module("tensorrt", "10.16.0.72"))
    logger = load_flavour("tensorrt").logger
    forget_errors()
    assert said_errors() == "it gave no reason"
    with caplog.at_level(logging.DEBUG, "nmt_trt.engines.tensorrt"):
        logger.log(_Severity.VERBOSE, "some detail")
        logger.log(_Severity.ERROR, "this failed")
        logger.log(_Severity.ERROR, "this failed")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "some detail"),
        ("ERROR", "this failed"),
        ("ERROR", "this failed"),
    ]
    assert said_errors() == "this failed"
