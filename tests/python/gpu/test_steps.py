"""A decoder step is launches, and neither copies, allocations nor waiting: a profiler's trace tells."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gpu.conftest import Load
from gpu.gpu_models import write_model, write_native_model
from nmt_trt import Model
from random_models import random_sources

torch = pytest.importorskip("torch")

FEW, MANY = 6, 30
"""Steps; both fit into the first cache."""
CALL = re.compile(r"cu(da)?[A-Z]\w*")
NOT_PER_STEP = re.compile(
    r"cu(da)?(Memcpy|Malloc|Free|Mem(Alloc|Free|Create|Map)|HostAlloc|.*Synchronize|GraphInstantiate)"
)
LAUNCH = re.compile(r"cu(da)?(Graph)?Launch")


@pytest.fixture(params=["engines", "native"])
def model(request: pytest.FixtureRequest, tmp_path: Path, load: Load) -> tuple[Model, Any]:
    """A model that never ends a sentence by itself, and sources for it."""
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA, so no profiler for it")
    if request.param == "engines":
        config = write_model(tmp_path / "model", 4, endless=True)
        return load(tmp_path / "model"), random_sources(config, 4, 12, 4)
    config = write_native_model(tmp_path / "model", 0, "fp16", endless=True)
    model = load(tmp_path / "model", precision="fp16")
    assert "native decoder" in model.backend
    return model, random_sources(config, 4, 12, 4)


def calls(model: Model, sources: Any, steps: int, trace: Path) -> Counter[str]:
    """How often each function of CUDA was called, and each copy between host and device was made, in one generate()."""
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        result = model.generate(sources, beam_size=4, max_length=steps, max_length_delta=-1)
    assert [sequence.size for sequence in result.sequences] == [steps] * len(sources)
    profile.export_chrome_trace(str(trace))
    names = Counter(event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"])
    copies = {name: count for name, count in names.items() if "HtoD" in name or "DtoH" in name}
    return Counter({name: count for name, count in names.items() if CALL.fullmatch(name)} | copies)


@pytest.mark.filterwarnings("ignore")  # torch's profiler has its own
def test_no_copies_allocations_or_waiting_per_step(model: tuple[Model, Any], tmp_path: Path) -> None:
    for steps in (FEW, MANY, FEW, MANY):  # everything that is made once has been made
        model[0].generate(model[1], beam_size=4, max_length=steps, max_length_delta=-1)
    few, many = (calls(*model, steps, tmp_path / f"{steps}.json") for steps in (FEW, MANY))
    launches = [sum(count for name, count in found.items() if LAUNCH.match(name)) for found in (few, many)]
    assert launches[1] - launches[0] >= MANY - FEW, f"the trace does not show the steps: {many}"
    grown = {
        name: (few[name], many[name])
        for name in many
        if (NOT_PER_STEP.match(name) or "HtoD" in name or "DtoH" in name) and many[name] > few[name]
    }
    assert grown == {}
