"""Speeds of GPUs, as their data sheets give them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speeds:
    """What a GPU can do at most.

    Attributes:
        bandwidth: of its memory, bytes a second.
        flops_per_second: of products of fp16 matrices without sparsity, a multiplication and an addition being two.
    """

    bandwidth: float
    flops_per_second: float


_KNOWN = {
    "H200": Speeds(4.8e12, 989e12),
    "H100 80GB HBM3": Speeds(3.35e12, 989e12),
}
"""By a part of the name that the driver gives. NVIDIA H200 and H100 (SXM) Tensor Core GPU data sheets."""


def speeds_of(gpu: str) -> Speeds | None:
    """The speeds of a GPU by the driver's name of it; None for one that is not known here."""
    return next((speeds for part, speeds in _KNOWN.items() if part in gpu), None)
