"""Imported M2M100 and mBART models on the GPU against the CPU backend, which is tested against transformers."""

from __future__ import annotations

from pathlib import Path

import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import assert_equal
from nmt_trt.options import Policy
from random_multilingual import FAMILIES, random_multilingual_sources, write_random_multilingual

POLICIES: tuple[Policy, ...] = ("gnmt", "hf")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_fp32_equals_the_cpu(tmp_path: Path, load: Load, family: str, seed: int) -> None:
    reference = write_random_multilingual(tmp_path / "checkpoint", family, seed)
    nmt_trt.build(tmp_path / "checkpoint", tmp_path / "model")
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    sources = random_multilingual_sources(reference.config.vocab_size, 6, 20, seed)
    forced = 5 + seed
    for policy in POLICIES:
        wanted = cpu.generate(sources, policy=policy, beam_size=4, max_length=24, forced_bos=forced).hypotheses
        assert all(best.tokens[0] == forced for best, *_ in wanted)
        found = gpu.generate(sources, policy=policy, beam_size=4, max_length=24, forced_bos=forced).hypotheses
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other)
