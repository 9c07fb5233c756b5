"""Generation options: one set of names for Python, C++ and the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, Unpack, get_args

from nmt_trt.errors import UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.option_checks import LEAST_FACTOR, check_flag, check_number, check_range, plain
from nmt_trt.score_options import LEFT_ALONE, NO_TOKEN, ScoreOptions

Policy = Literal["gnmt", "nemo", "hf", "sample"]
EarlyStopping = Literal["never"] | bool
BatchType = Literal["sentences", "tokens"]
MAX_BEAM_SIZE = 32
MAX_LENGTH_PENALTY = 100
MAX_LENGTH_FACTOR = 100
MAX_PATIENCE = 8
MAX_DIVERSITY_PENALTY = 1000
MAX_COVERAGE_PENALTY = 100
MAX_TEMPERATURE = 100
MAX_TOPK = 2**31 - 1
MAX_SEED = 2**64 - 1
FLAGS = ("deterministic", "token_scores", "attention", "replace_unknowns")
SAMPLING: Mapping[str, float] = {"sampling_temperature": 1.0, "sampling_topk": 0, "sampling_topp": 1.0, "seed": 0}
"""The options of policy sample, and what they are when they are not given."""


class GenerationKeywords(TypedDict, total=False):
    """GenerationOptions as keyword arguments."""

    beam_size: int | None
    length_penalty: float | None
    max_length: int | None
    max_length_factor: float | None
    max_length_delta: int | None
    num_hypotheses: int
    policy: Policy
    batch_size: int | None
    batch_type: BatchType
    deterministic: bool
    token_scores: bool
    attention: bool
    coverage_penalty: float
    replace_unknowns: bool
    sampling_temperature: float
    sampling_topk: int
    sampling_topp: float
    seed: int
    early_stopping: EarlyStopping | None
    patience: float
    beam_groups: int
    diversity_penalty: float
    min_length: int | None
    repetition_penalty: float | None
    no_repeat_ngram: int | None
    forced_bos: int | None
    forced_eos: int | None
    bad_words: Sequence[Sequence[int]] | None
    suppress_tokens: Sequence[int] | None
    allowed_tokens: Sequence[int] | None


@dataclass(frozen=True, kw_only=True)
class GenerationOptions(ScoreOptions):
    """How to search, and by ScoreOptions what for. `None` takes the model's own default; with policy "hf"
    that is what the checkpoint was published with, where the model directory knows it (docs/policy-hf.md).

    Attributes:
        beam_size: hypotheses kept a sentence, 1 (greedy) to 32.
        length_penalty: alpha of sum / ((5 + len) / 6)^alpha (Wu et al. 2016, arXiv:1609.08144), 0 or more; with
            policy "hf" of sum / len^alpha, and negative to favour short ones.
        max_length: most generated tokens a sentence, EOS included and the start token excluded; capped by the
            decoder's positions, which is also the default where nothing was published.
        max_length_factor, max_length_delta: a limit by the source's length (special tokens included), factor * length
            + delta generated tokens, rounded down, 1 at least. The factor is 0 to 100, and 1 unless given. A negative
            delta stands for no such limit, and contradicts a factor; where it is the model's own, a factor alone makes
            it 0.
        num_hypotheses: hypotheses returned a sentence, at most `beam_size`.
        policy: "gnmt", whose result never depends on the rest of the batch, or "nemo", NeMo's search token for token.
            NeMo's leak between the sentences of a batch (docs/design.md) is there on the CPU, not on the GPU. "hf":
            that of transformers' generate(), token for token (docs/policy-hf.md). "sample" is no search:
            `num_hypotheses` translations are drawn at random, each by itself, and returned in the order of their
            draws (docs/sampling.md).
        batch_size: what is searched together, at most, counted as `batch_type` says; 32 sentences on the CPU by
            default, and on the GPU as many as the engines take, which is also the most that they can.
        batch_type: "sentences", or "tokens": source tokens with padding, which are the sentences of a batch times the
            length of the longest. "tokens" needs a `batch_size` and contradicts `deterministic`.
        deterministic: the same score bits whatever the batch; slower.
        token_scores: whether each hypothesis has the log-probabilities of its tokens.
        attention: whether each hypothesis has what its tokens attended to in the source (docs/alignment.md).
        coverage_penalty: beta of the coverage penalty of Wu et al. 2016 (arXiv:1609.08144, equation 14), 0 to 100: the
            `beam_size` hypotheses that were found are ranked again by what it adds to their scores. With policy
            "sample" it changes scores only; not with policy "nemo".
        replace_unknowns: whether unknown tokens of a translated text are replaced by the source words that they attend
            to (docs/alignment.md); not of ids.
        sampling_temperature: of policy "sample": what scores are divided by, from 1e-6 to 100.
        sampling_topk: of policy "sample": only so many of the likeliest tokens may be drawn; 0 for all.
        sampling_topp: of policy "sample": of those only the likeliest, whose probabilities add up to this; above 0, at
            most 1.
        seed: of policy "sample": 0 to 2^64 - 1. A translation depends on it, on the number of its sentence, on its own
            number and on the model's scores, and on nothing else.
        early_stopping: of policy "hf": whether a sentence is done with its first `beam_size` finished hypotheses, or
            goes on while the beam's best score could still win, by its length so far (False) or by the longest one
            that is allowed ("never").
        patience: of policy "hf" with a beam: those first finished hypotheses are `beam_size` times this, rounded
            (Kasai et al. 2022, arXiv:2204.05424); above 0, at most 8.
        beam_groups: of policy "gnmt": the beam is cut into so many groups of equal size, which choose one after the
            other (diverse beam search, Vijayakumar et al. 2016, arXiv:1610.02424); a divisor of `beam_size`.
        diversity_penalty: what a token's log-probability loses for each time that the groups before chose it at the
            same step, 0 to 1000; with `beam_groups`.
    """

    beam_size: int | None = None
    length_penalty: float | None = None
    max_length: int | None = None
    max_length_factor: float | None = None
    max_length_delta: int | None = None
    num_hypotheses: int = 1
    policy: Policy = "gnmt"
    batch_size: int | None = None
    batch_type: BatchType = "sentences"
    deterministic: bool = False
    token_scores: bool = False
    attention: bool = False
    coverage_penalty: float = 0.0
    replace_unknowns: bool = False
    sampling_temperature: float = 1.0
    sampling_topk: int = 0
    sampling_topp: float = 1.0
    seed: int = 0
    early_stopping: EarlyStopping | None = None
    patience: float = 1.0
    beam_groups: int = 1
    diversity_penalty: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("beam_size", self.beam_size, 1, MAX_BEAM_SIZE)
        lowest = -MAX_LENGTH_PENALTY if self.policy == "hf" else 0
        check_range("length_penalty", self.length_penalty, lowest, MAX_LENGTH_PENALTY, whole=False)
        check_range("max_length", self.max_length, 1, None)
        check_range("max_length_factor", self.max_length_factor, 0, MAX_LENGTH_FACTOR, whole=False)
        check_range("max_length_delta", self.max_length_delta, None, None)
        if self.max_length_factor is not None and self.max_length_delta is not None and self.max_length_delta < 0:
            raise UsageError(f"max_length_factor needs a max_length_delta of 0 or more; given {self.max_length_delta}")
        check_number("num_hypotheses", self.num_hypotheses, 1, MAX_BEAM_SIZE)
        for name in FLAGS:
            check_flag(name, getattr(self, name))
        check_range("batch_size", self.batch_size, 1, None)
        self._check_batch_type()
        if self.policy not in get_args(Policy):
            raise UsageError(f"policy must be one of {', '.join(get_args(Policy))}; given {self.policy!r}")
        if self.deterministic and self.policy == "nemo":
            raise UsageError("deterministic=True contradicts policy='nemo', whose results depend on the batch")
        self._check_sampling()
        self._check_beam()
        self._check_coverage()
        self._check_policy_has()

    def _check_sampling(self) -> None:
        check_number("sampling_temperature", self.sampling_temperature, LEAST_FACTOR, MAX_TEMPERATURE, whole=False)
        check_number("sampling_topk", self.sampling_topk, 0, MAX_TOPK)
        check_number("sampling_topp", self.sampling_topp, 0, 1, whole=False)
        check_number("seed", self.seed, 0, MAX_SEED)
        for name, default in SAMPLING.items():
            value = getattr(self, name)
            if name == "sampling_topp" and value == 0:
                raise UsageError("sampling_topp must be above 0; given 0")
            if value != default and self.policy != "sample":
                raise UsageError(f"{name} is of policy 'sample'; given policy {self.policy!r}")
        if self.policy == "sample" and self.beam_size not in (None, 1):
            raise UsageError(f"policy 'sample' has no beam: beam_size must be 1 or open; given {self.beam_size}")

    def _check_beam(self) -> None:
        check_number("patience", self.patience, 0, MAX_PATIENCE, whole=False)
        check_number("beam_groups", self.beam_groups, 1, MAX_BEAM_SIZE)
        check_number("diversity_penalty", self.diversity_penalty, 0, MAX_DIVERSITY_PENALTY, whole=False)
        for name, default, policy in (("patience", 1, "hf"), ("beam_groups", 1, "gnmt")):
            value = getattr(self, name)
            if value != default and self.policy != policy:
                raise UsageError(f"{name} is of policy {policy!r}; given policy {self.policy!r}")
        if self.patience == 0:
            raise UsageError("patience must be above 0; given 0")
        if self.diversity_penalty > 0 and self.beam_groups == 1:
            raise UsageError("diversity_penalty needs beam_groups of 2 or more")

    def _check_coverage(self) -> None:
        check_number("coverage_penalty", self.coverage_penalty, 0, MAX_COVERAGE_PENALTY, whole=False)
        if self.coverage_penalty > 0 and self.policy == "nemo":
            raise UsageError("coverage_penalty is of the policies 'gnmt', 'hf' and 'sample'; given policy 'nemo'")

    def _check_policy_has(self) -> None:
        if not (self.early_stopping is None or isinstance(self.early_stopping, bool) or self.early_stopping == "never"):
            raise UsageError(f"early_stopping must be False, True or 'never'; given {self.early_stopping!r}")
        if self.early_stopping and self.policy != "hf":
            raise UsageError(f"early_stopping is of policy 'hf'; given policy {self.policy!r}")
        if self.policy == "nemo" and (changed := self.changed_scores()):
            raise UsageError(f"{', '.join(changed)}: of the policies 'gnmt', 'hf' and 'sample'; given policy 'nemo'")

    def _check_batch_type(self) -> None:
        if self.batch_type not in get_args(BatchType):
            raise UsageError(f"batch_type must be one of {', '.join(get_args(BatchType))}; given {self.batch_type!r}")
        if self.batch_type == "tokens" and self.batch_size is None:
            raise UsageError("batch_type='tokens' needs batch_size, the most source tokens of a batch")
        if self.batch_type == "tokens" and self.deterministic:
            raise UsageError("batch_type='tokens' contradicts deterministic=True, whose batches have a fixed shape")

    def resolve(self, config: TransformerConfig) -> ResolvedOptions:
        """Fill what was left open from the model's defaults and check the whole.

        Raises:
            UsageError: `num_hypotheses` exceeds the beam size that results, or `min_length` the length; a token is
                outside the target vocabulary.
        """
        defaults = self._defaults(config)
        beam_size = defaults["beam_size"] if self.beam_size is None else self.beam_size
        if self.policy == "sample":
            beam_size = self.num_hypotheses
        if self.num_hypotheses > beam_size:
            raise UsageError(f"num_hypotheses must be at most beam_size {beam_size}; given {self.num_hypotheses}")
        limit = config.decoder.max_positions
        max_length = min(defaults["max_length"] if self.max_length is None else self.max_length, limit)
        if self.min_length is not None and self.min_length > max_length:
            raise UsageError(f"min_length must be at most max_length {max_length}; given {self.min_length}")
        self._check_beam_size(beam_size)
        scores = self.filled_scores(defaults)
        if self.policy == "nemo" and scores["forced_bos"] != NO_TOKEN:
            raise UsageError("policy 'nemo' forces no first token, which names this model's target language")
        resolved = ResolvedOptions(
            beam_size=beam_size,
            length_penalty=defaults["length_penalty"] if self.length_penalty is None else self.length_penalty,
            max_length=max_length,
            max_length_factor=1.0 if self.max_length_factor is None else self.max_length_factor,
            max_length_delta=self._length_delta(defaults["max_length_delta"]),
            num_hypotheses=self.num_hypotheses,
            policy=self.policy,
            batch_size=self.batch_size,
            batch_type=self.batch_type,
            deterministic=self.deterministic,
            token_scores=self.token_scores,
            attention=self.attention,
            coverage_penalty=self.coverage_penalty,
            replace_unknowns=self.replace_unknowns,
            sampling_temperature=self.sampling_temperature,
            sampling_topk=self.sampling_topk,
            sampling_topp=self.sampling_topp,
            seed=self.seed,
            early_stopping=defaults["early_stopping"] if self.early_stopping is None else self.early_stopping,
            patience=self.patience,
            beam_groups=self.beam_groups,
            diversity_penalty=self.diversity_penalty,
            **{**scores, "min_length": min(scores["min_length"], max_length)},
        )
        resolved.check_vocabulary(config.decoder.vocab_size)
        return resolved

    def _check_beam_size(self, beam_size: int) -> None:
        if beam_size % self.beam_groups != 0:
            raise UsageError(f"beam_groups must be a divisor of beam_size {beam_size}; given {self.beam_groups}")
        if self.patience == 1:
            return
        if beam_size == 1:
            raise UsageError(f"patience needs a beam_size of 2 or more; given {beam_size}")
        if math.floor(beam_size * self.patience + 0.5) < self.num_hypotheses:
            raise UsageError(
                f"beam_size * patience must be num_hypotheses {self.num_hypotheses} at least; "
                f"given {beam_size} * {self.patience:g}"
            )

    def _length_delta(self, default: int) -> int:
        if self.max_length_delta is not None:
            return self.max_length_delta
        return default if self.max_length_factor is None else max(default, 0)

    def _defaults(self, config: TransformerConfig) -> dict[str, Any]:
        """The model's values of the options that may be left open."""
        own = config.generation
        values = {
            "beam_size": own.beam_size,
            "length_penalty": own.length_penalty,
            "max_length": config.decoder.max_positions,
            "max_length_delta": own.max_length_delta,
            "early_stopping": False,
            **LEFT_ALONE,
            "forced_bos": own.forced_bos,
        }
        if self.policy == "hf" and own.hf is not None:
            values |= own.hf.model_dump()
        return values


@dataclass(frozen=True, kw_only=True)
class ResolvedOptions(ScoreOptions):
    """GenerationOptions with every default filled in for one model."""

    beam_size: int
    length_penalty: float
    max_length: int
    max_length_delta: int
    num_hypotheses: int
    policy: Policy
    batch_size: int | None
    batch_type: BatchType
    deterministic: bool
    token_scores: bool = False
    early_stopping: EarlyStopping = False
    max_length_factor: float = 1.0
    sampling_temperature: float = 1.0
    sampling_topk: int = 0
    sampling_topp: float = 1.0
    seed: int = 0
    patience: float = 1.0
    beam_groups: int = 1
    diversity_penalty: float = 0.0
    attention: bool = False
    coverage_penalty: float = 0.0
    replace_unknowns: bool = False

    @property
    def gives_attention(self) -> bool:
        """Whether hypotheses have their attention, if only for what is made of it."""
        return self.attention or self.replace_unknowns

    @property
    def keeps_attention(self) -> bool:
        """Whether the search needs to know what hypotheses attend to."""
        return self.gives_attention or self.coverage_penalty > 0

    def search_keywords(self) -> dict[str, Any]:
        """What the core's searches are told of these options, by name; not what differs from sentence to sentence."""
        return {
            "policy": self.policy,
            "beam_size": self.beam_size,
            "num_hypotheses": self.num_hypotheses,
            "length_penalty": self.length_penalty,
            "token_scores": self.token_scores,
            "attention": self.gives_attention,
            "coverage_penalty": self.coverage_penalty,
            "sampling_temperature": self.sampling_temperature,
            "sampling_topk": self.sampling_topk,
            "sampling_topp": self.sampling_topp,
            "seed": self.seed,
            "early_stopping": self.early_stopping,
            "patience": self.patience,
            "beam_groups": self.beam_groups,
            "diversity_penalty": self.diversity_penalty,
            **self.score_keywords(),
        }

    def length_limit(self, source_length: int) -> int:
        """Most tokens, EOS included, to generate for a source of `source_length` ids."""
        if self.max_length_delta < 0:
            return self.max_length
        limit = math.floor(self.max_length_factor * source_length) + self.max_length_delta
        return min(self.max_length, max(limit, 1))


def make_options(**given: Unpack[GenerationKeywords]) -> GenerationOptions:
    """GenerationOptions from keyword arguments.

    Raises:
        UsageError: an unknown name, or a value outside its range.
    """
    known = {field.name for field in fields(GenerationOptions)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise UsageError(f"unknown generation option {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return GenerationOptions(**{name: plain(value) for name, value in given.items()})
