"""The C++ core; the docstrings are those of the compiled module."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Never, type_check_only

import numpy as np
from numpy.typing import NDArray

__version__: str
has_cuda: bool

def average_log_probs(logits: Sequence[NDArray[np.float32]], *, out: NDArray[np.float32]) -> None: ...

@type_check_only
class _BoundType(type): ...

class Hypothesis(metaclass=_BoundType):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...
    @property
    def tokens(self) -> NDArray[np.int32]: ...
    @property
    def score(self) -> float: ...
    @property
    def log_prob(self) -> float: ...
    @property
    def token_scores(self) -> NDArray[np.float32]: ...
    def attention(self, source: int) -> NDArray[np.float32]: ...

class BeamSearch(metaclass=_BoundType):
    def __init__(
        self,
        *,
        policy: Literal["gnmt", "nemo", "hf", "sample"],
        beam_size: int,
        num_hypotheses: int,
        length_penalty: float,
        eos: int,
        pad: int,
        bos: int,
        vocab_size: int,
        max_lengths: NDArray[np.int32],
        early_stopping: bool | Literal["never"] = False,
        min_length: int = 0,
        repetition_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
        forced_bos: int | None = None,
        forced_eos: int | None = None,
        bad_words: Sequence[Sequence[int]] = (),
        suppress_tokens: Sequence[int] = (),
        allowed_tokens: Sequence[int] = (),
        token_scores: bool = False,
        target_prefix: Sequence[Sequence[int]] = (),
        sampling_temperature: float = 1.0,
        sampling_topk: int = 0,
        sampling_topp: float = 1.0,
        seed: int = 0,
        sentence_numbers: Sequence[int] = (),
        patience: float = 1.0,
        beam_groups: int = 1,
        diversity_penalty: float = 0.0,
        attention: bool = False,
        coverage_penalty: float = 0.0,
        source_lengths: Sequence[int] = (),
    ) -> None: ...
    def start(self, logits: NDArray[np.float32], attention: NDArray[np.float32] | None = None) -> None: ...
    def advance(self, logits: NDArray[np.float32], attention: NDArray[np.float32] | None = None) -> None: ...
    def compact(self) -> NDArray[np.int32]: ...
    def tokens(self) -> NDArray[np.int32]: ...
    def ancestry(self) -> NDArray[np.int32]: ...
    def write_self_bias(
        self, bias: NDArray[np.float32], prefix_slots: int, prefix_lengths: NDArray[np.int32] | None = None
    ) -> None: ...
    def results(self) -> list[list[Hypothesis]]: ...
    @property
    def done(self) -> bool: ...
    @property
    def rows(self) -> int: ...
    @property
    def finished_rows(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def leaks(self) -> bool: ...

class EngineLibrary(metaclass=_BoundType):
    """Only in a build with CUDA, as everything below."""

    def __init__(self, *args: Never, **kwargs: Never) -> None: ...
    @property
    def flavour(self) -> Literal["tensorrt", "tensorrt-rtx"]: ...
    @property
    def version(self) -> str: ...
    def runtime_cache(self) -> bytes: ...
    def load_runtime_cache(self, content: bytes) -> None: ...

def open_engine_library(
    *, shims: list[str], library: str, log: Callable[[int, bytes], None] | None = None
) -> EngineLibrary: ...

class NativeDecoder(metaclass=_BoundType):
    def __init__(
        self,
        *,
        weight_provider: Callable[[str], bytes],
        exponent_provider: Callable[[], Mapping[str, int]],
        type: Literal["float16", "bfloat16"],
        inner_size: int,
        activation: Literal["relu", "gelu", "swish"],
        pre_norm: bool,
        final_norm: bool,
        embedding_norm: bool,
        embedding_scale: float,
        norm_epsilon: float,
        token_table: str,
        output_table: str,
        max_rows: int,
    ) -> None: ...

class GeneratorModel(metaclass=_BoundType):
    def __init__(
        self,
        *,
        plan_provider: Callable[[str], bytes],
        layers: int,
        heads: int,
        head_size: int,
        encoder_layers: int,
        encoder_heads: int,
        encoder_head_size: int,
        causal_encoder: bool,
        vocab_size: int,
        max_positions: int,
        eos: int,
        pad: int,
        bos: int,
        max_batch: int,
        max_source: int,
        attention_layer: int,
        native_decoder: NativeDecoder | None = None,
    ) -> None: ...

class StepGraph(metaclass=_BoundType):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...
    @property
    def rows(self) -> int: ...
    @property
    def source(self) -> int: ...
    @property
    def beam_size(self) -> int: ...
    @property
    def cache_slots(self) -> int: ...
    @property
    def kernels(self) -> int: ...
    @property
    def memsets(self) -> int: ...
    @property
    def other_nodes(self) -> int: ...
    @property
    def bytes(self) -> int: ...

class Generator(metaclass=_BoundType):
    def __init__(
        self, library: EngineLibrary, *, models: Sequence[GeneratorModel], memory_limit: int | None = None
    ) -> None: ...
    def generate(
        self,
        ids: NDArray[np.int32],
        lengths: NDArray[np.int32],
        *,
        policy: Literal["gnmt", "nemo", "hf", "sample"],
        beam_size: int,
        num_hypotheses: int,
        length_penalty: float,
        max_lengths: NDArray[np.int32],
        deterministic: bool,
        early_stopping: bool | Literal["never"] = False,
        min_length: int = 0,
        repetition_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
        forced_bos: int | None = None,
        forced_eos: int | None = None,
        bad_words: Sequence[Sequence[int]] = (),
        suppress_tokens: Sequence[int] = (),
        allowed_tokens: Sequence[int] = (),
        token_scores: bool = False,
        target_prefix: Sequence[Sequence[int]] = (),
        sampling_temperature: float = 1.0,
        sampling_topk: int = 0,
        sampling_topp: float = 1.0,
        seed: int = 0,
        sentence_numbers: Sequence[int] = (),
        patience: float = 1.0,
        beam_groups: int = 1,
        diversity_penalty: float = 0.0,
        attention: bool = False,
        coverage_penalty: float = 0.0,
    ) -> tuple[list[list[Hypothesis]], float, float]: ...
    def warmup(
        self,
        *,
        batch: int,
        source: int,
        beam_size: int,
        steps: int,
        policy: Literal["gnmt", "nemo", "hf", "sample"],
        deterministic: bool,
        min_length: int = 0,
        repetition_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
        forced_bos: int | None = None,
        forced_eos: int | None = None,
        bad_words: Sequence[Sequence[int]] = (),
        suppress_tokens: Sequence[int] = (),
        allowed_tokens: Sequence[int] = (),
        token_scores: bool = False,
        beam_groups: int = 1,
        attention: bool = False,
    ) -> None: ...
    def max_batch(self, beam_size: int) -> int: ...
    def source_bucket(self, length: int) -> int: ...
    def deterministic_rows(self, beam_size: int) -> int: ...
    @property
    def memory(self) -> dict[str, int]: ...
    @property
    def step_graphs(self) -> list[StepGraph]: ...
