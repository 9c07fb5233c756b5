"""Generation options: one set of names for Python, C++ and the command line."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypedDict, Unpack, get_args

from nmt_trt.errors import UsageError
from nmt_trt.models.config import TransformerConfig

Policy = Literal["gnmt", "nemo"]
MAX_BEAM_SIZE = 32
MAX_LENGTH_PENALTY = 100


class GenerationKeywords(TypedDict, total=False):
    """GenerationOptions as keyword arguments."""

    beam_size: int | None
    length_penalty: float | None
    max_length: int | None
    max_length_delta: int | None
    num_hypotheses: int
    policy: Policy
    batch_size: int | None
    deterministic: bool


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How to search. `None` takes the model's own default.

    Attributes:
        beam_size: hypotheses kept a sentence, 1 (greedy) to 32.
        length_penalty: alpha of sum / ((5 + len) / 6)^alpha (Wu et al. 2016, arXiv:1609.08144), 0 or more.
        max_length: most generated tokens a sentence, EOS included and the start token excluded; capped by the
            decoder's positions, which is also the default.
        max_length_delta: most generated tokens beyond the source's length (special tokens included); negative for
            no such limit.
        num_hypotheses: hypotheses returned a sentence, at most `beam_size`.
        policy: "gnmt", whose result never depends on the rest of the batch, or "nemo", NeMo's search token for token.
            NeMo's leak between the sentences of a batch (docs/design.md) is there on the CPU, not on the GPU.
        batch_size: sentences searched together, at most; 32 on the CPU by default, and on the GPU as many as the
            engines take, which is also the most that they can.
        deterministic: the same score bits whatever the batch; slower.
    """

    beam_size: int | None = None
    length_penalty: float | None = None
    max_length: int | None = None
    max_length_delta: int | None = None
    num_hypotheses: int = 1
    policy: Policy = "gnmt"
    batch_size: int | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        _check_range("beam_size", self.beam_size, 1, MAX_BEAM_SIZE)
        _check_range("length_penalty", self.length_penalty, 0, MAX_LENGTH_PENALTY)
        _check_range("max_length", self.max_length, 1, None)
        _check_range("num_hypotheses", self.num_hypotheses, 1, MAX_BEAM_SIZE)
        _check_range("batch_size", self.batch_size, 1, None)
        if self.policy not in get_args(Policy):
            raise UsageError(f"policy must be one of {', '.join(get_args(Policy))}; given {self.policy!r}")
        if self.deterministic and self.policy == "nemo":
            raise UsageError("deterministic=True contradicts policy='nemo', whose results depend on the batch")

    def resolve(self, config: TransformerConfig) -> ResolvedOptions:
        """Fill what was left open from the model's defaults and check the whole.

        Raises:
            UsageError: when `num_hypotheses` exceeds the beam size that results.
        """
        defaults = config.generation
        beam_size = self.beam_size if self.beam_size is not None else defaults.beam_size
        if self.num_hypotheses > beam_size:
            raise UsageError(f"num_hypotheses must be at most beam_size {beam_size}; given {self.num_hypotheses}")
        limit = config.decoder.max_positions
        return ResolvedOptions(
            beam_size=beam_size,
            length_penalty=defaults.length_penalty if self.length_penalty is None else self.length_penalty,
            max_length=limit if self.max_length is None else min(self.max_length, limit),
            max_length_delta=defaults.max_length_delta if self.max_length_delta is None else self.max_length_delta,
            num_hypotheses=self.num_hypotheses,
            policy=self.policy,
            batch_size=self.batch_size,
            deterministic=self.deterministic,
        )


@dataclass(frozen=True, kw_only=True)
class ResolvedOptions:
    """GenerationOptions with every default filled in for one model."""

    beam_size: int
    length_penalty: float
    max_length: int
    max_length_delta: int
    num_hypotheses: int
    policy: Policy
    batch_size: int | None
    deterministic: bool

    def length_limit(self, source_length: int) -> int:
        """Most tokens, EOS included, to generate for a source of `source_length` ids."""
        if self.max_length_delta < 0:
            return self.max_length
        return min(self.max_length, source_length + self.max_length_delta)


def make_options(**given: Unpack[GenerationKeywords]) -> GenerationOptions:
    """GenerationOptions from keyword arguments.

    Raises:
        UsageError: an unknown name, or a value outside its range.
    """
    known = {field.name for field in fields(GenerationOptions)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise UsageError(f"unknown generation option {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return GenerationOptions(**given)


def _check_range(name: str, value: float | None, low: float, high: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{name} must be a number; given {value!r}")
    if name != "length_penalty" and not isinstance(value, int):
        raise UsageError(f"{name} must be a whole number; given {value!r}")
    if not (value >= low and (high is None or value <= high)):
        bounds = f"from {low} to {high}" if high is not None else f"at least {low}"
        raise UsageError(f"{name} must be {bounds}; given {value!r}")
