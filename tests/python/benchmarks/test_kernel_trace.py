"""A step's kernels from the profiler's traces, by difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kernel_trace import OTHERS, Kernel, Trace, family, mean_step, read_trace, trace_of
from recording import Recorder
from table import profile_table


def event(name: str, begin: float, duration: float, category: str = "kernel") -> dict[str, Any]:
    return {"ph": "X", "cat": category, "name": name, "ts": begin, "dur": duration}


def test_a_trace_has_what_ran_on_the_gpu(tmp_path: Path) -> None:
    events = [
        event("encoder", 100.0, 5.0),
        event("gemm", 110.0, 2.0),
        event("gemm", 115.0, 3.0),
        event("Memset (Device)", 119.0, 1.5, "gpu_memset"),
        event("cudaGraphLaunch", 50.0, 900.0, "cuda_runtime"),
        {"ph": "M", "name": "process_name"},
    ]
    (tmp_path / "trace.json").write_text(json.dumps({"traceEvents": events}))
    trace = read_trace(tmp_path / "trace.json")
    assert trace.kernels == {"encoder": Kernel(1, 5.0), "gemm": Kernel(2, 5.0), "Memset (Device)": Kernel(1, 1.5)}
    assert (trace.span_us, trace.busy_us) == (20.5, 11.5)


def test_time_of_several_kernels_counts_for_the_one_that_ends_first() -> None:
    """As with programmatic dependent launch, and on two streams."""
    events = [
        event("first", 0.0, 10.0),
        event("waits", 4.0, 11.0),  # 10 to 15
        event("waits", 12.0, 6.0),  # 15 to 18
        event("apart", 20.0, 2.0),
        event("around", 19.0, 6.0),  # 19 to 20, 22 to 25
        event("behind", 30.0, 1.0),
    ]
    trace = trace_of(events[::-1])
    expected = {
        "first": Kernel(1, 10.0),
        "waits": Kernel(2, 8.0),
        "apart": Kernel(1, 2.0),
        "around": Kernel(1, 4.0),
        "behind": Kernel(1, 1.0),
    }
    assert trace.kernels == expected
    assert (trace.span_us, trace.busy_us) == (31.0, 25.0)
    assert trace_of([]) == Trace({}, 0.0)


@pytest.mark.filterwarnings("ignore")  # torch's profiler has its own
def test_torchs_traces_are_read(tmp_path: Path) -> None:
    matrix = torch.ones(8, 8)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(3):
            torch.mm(matrix, matrix)
    profile.export_chrome_trace(str(tmp_path / "trace.json"))
    trace = read_trace(tmp_path / "trace.json", ["cpu_op"])
    assert trace.kernels["aten::mm"].count == 3
    assert trace.span_us >= trace.kernels["aten::mm"].us > 0
    assert read_trace(tmp_path / "trace.json").kernels == {}


def test_a_step_is_what_long_runs_have_beyond_short_ones() -> None:
    short = Trace({"encoder": Kernel(6, 60.0), "gemm": Kernel(4, 8.0)}, 100.0)
    long = Trace({"encoder": Kernel(6, 61.0), "gemm": Kernel(40, 88.0), "top": Kernel(10, 10.0)}, 250.0)
    step = mean_step([long, long], [short, short], 10)
    assert step.kernels == {"gemm": Kernel(3.6, 8.0), "top": Kernel(1.0, 1.0)}
    assert list(step.kernels) == ["gemm", "top"]
    assert (step.span_us, step.busy_us) == (15.0, 9.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "void nmt_trt::cuda::(anonymous namespace)::self_attention_kernel<Layout<64>>(Arguments)",
            "self attention",
        ),
        ("void nmt_trt::cuda::(anonymous namespace)::top_log_probs_kernel<float>(State, int const*)", "top log probs"),
        ("sm80_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize64x64x64_stage4_execute_kernel_trt", "matrix products"),
        ("void cutlass::Kernel2<cutlass_80_tensorop_f16_s16816gemm_relu>(Params)", "matrix products"),
        ("nvjet_hsh_64x8_64x16_4x1_v_bz_TNT", "matrix products"),
        ("Memset (Device)", "clearing memory"),
        ("Memcpy DtoD (Device -> Device)", "copies"),
        ("__myl_AddMeaSub_0x0123_kernel", OTHERS),
    ],
)
def test_families(name: str, expected: str) -> None:
    assert family(name) == expected


def test_table_adds_up_families() -> None:
    recorder = Recorder(None, "profile")
    for batch, scale in ((1, 1.0), (8, 2.0)):
        fields = {"step_us": 10 * scale, "gaps_us": 3 * scale, "unprofiled_us": 8 * scale}
        recorder.add("profile", batch=batch, **fields)
        for name, us in (("a", 4.0), ("b", 2.0)):
            recorder.add("kernel", batch=batch, name=name, family="matrix products", us=us * scale, count=2.0)
    recorder.add("kernel", batch=8, name="c", family="copies", us=2.0, count=0.5)
    lines = profile_table(recorder.added).splitlines()
    assert [[cell.strip() for cell in line.split("  ") if cell] for line in lines[2:]] == [
        ["matrix products", "6.0 (4.0; 60%)", "12.0 (4.0; 60%)"],
        ["copies", "-", "2.0 (0.5; 10%)"],
        ["gaps", "3.0", "6.0"],
        ["a step", "10.0", "20.0"],
        ["without the profiler", "8.0", "16.0"],
    ]
