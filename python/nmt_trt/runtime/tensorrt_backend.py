"""The TensorRT backend: C++ runs encoder, decoder steps and search on the GPU; Python hands it batches and plans."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt_trt import _core
from nmt_trt.engines.plan_spec import EngineShapes, common_shapes
from nmt_trt.errors import SourceError, UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis, Timings
from nmt_trt.runtime.batching import BatchLimits, batch_limits, batches_by_bucket, batches_by_length
from nmt_trt.runtime.hypotheses import hypotheses_of
from nmt_trt.runtime.inputs import Row, pad_rows
from nmt_trt.runtime.plan_source import PlanSource
from nmt_trt.runtime.runtime_cache import RuntimeCache


@dataclass(frozen=True)
class EngineModel:
    """One of the models that a backend runs.

    Attributes:
        config: its own configuration.
        plans: where its plans come from.
        build_command: builds engines that will be used; messages add the sizes.
        native_decoder: what runs its decoder in place of engines; None where those do.
    """

    config: TransformerConfig
    plans: PlanSource
    build_command: str
    native_decoder: _core.NativeDecoder | None = None


class TensorRTBackend:
    """Runs the graphs of a model directory, or of an ensemble of them, as TensorRT engines; decoders maybe without.

    Not thread-safe: its Model serves one call at a time. But that may search in `batches_in_flight` threads at once,
    each in a place of its own, which has a generator.
    """

    def __init__(
        self,
        config: TransformerConfig,
        library: _core.EngineLibrary,
        models: Sequence[EngineModel],
        runtime_cache: RuntimeCache | None,
        *,
        memory_limit: int | None,
        batches_in_flight: int,
        description: str,
    ) -> None:
        """Nothing is built or loaded before the first sentences come.

        Args:
            config: what the models are together.
            library: the opened TensorRT library.
            models: one, or those of an ensemble.
            runtime_cache: the kernels that the library compiled in earlier processes; None keeps none.
            memory_limit: most bytes of GPU memory to use; None for no limit.
            batches_in_flight: generators, each with all models in its memory, to which the limit is shared out.
            description: what `Model.backend` tells.

        Raises:
            UsageError: more models than can be run, or engines that take no common sizes.
        """
        self._config = config
        self._library = library
        self._shapes = common_shapes([model.plans.shapes for model in models])
        self._runtime_cache = runtime_cache
        self._memory_of_kept: dict[str, int] = {}
        self._build_commands = [model.build_command for model in models]
        self._description = description
        if runtime_cache is not None:
            runtime_cache.load(library)
        self._generators = [
            _core.Generator(
                library,
                models=[_generator_model(model) for model in models],
                memory_limit=None if memory_limit is None else max(1, memory_limit // batches_in_flight),
            )
            for _ in range(batches_in_flight)
        ]
        self._loaded = False
        self._largest: dict[tuple[int, bool], int] = {}
        self._keeping = threading.Lock()

    @property
    def description(self) -> str:
        """The backend, its device, and why it was taken, in one line."""
        return self._description

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of GPU memory in use, by what they are for."""
        total: Counter[str] = Counter()
        for generator in self._generators:
            total.update(generator.memory)
        return dict(total)

    @property
    def batches_in_flight(self) -> int:
        """Batches that `search` takes at once."""
        return len(self._generators)

    @property
    def loaded(self) -> bool:
        """Whether a search has nothing to build first: all generators find the plans that one of them has built."""
        return self._loaded

    def limits(self, options: ResolvedOptions) -> BatchLimits:
        """Of a batch with these options, as far as can be told without engines; see _largest_batch."""
        most = self.shapes.batch.max
        return batch_limits(options, usual=most, most=most)

    @property
    def shapes(self) -> EngineShapes:
        """The batches and sources that the engines take."""
        return self._shapes

    def plan_batches(self, lengths: Sequence[int], options: ResolvedOptions) -> list[list[int]]:
        """Indices of the sentences of each batch, within what the engines take.

        `deterministic` puts sentences together that are padded to the same length, in batches that the generator pads
        to one size: a sentence's shapes then depend on nothing but the sentence.

        Raises:
            SourceError: a source of more tokens than the engines take, or than a batch may hold.
            UsageError: a beam size that they do not take.
            BackendError: see `search`.
        """
        self._check_lengths(lengths)
        if not lengths:
            return []
        most = self._largest_batch(options)
        limits = batch_limits(options, usual=most, most=most)
        if options.deterministic:
            return batches_by_bucket(lengths, self._generators[0].source_bucket, limits)
        return batches_by_length(lengths, options, limits)

    def search(
        self,
        rows: Sequence[Row],
        options: ResolvedOptions,
        timings: Timings,
        *,
        target_prefix: Sequence[Row] | None = None,
        sentence_numbers: Sequence[int] | None = None,
        place: int = 0,
    ) -> list[list[Hypothesis]]:
        """The hypotheses of each sentence of one batch, best first; adds to `timings`.

        Raises:
            BackendError: EngineError, EngineBuildError, CudaError or OutOfMemoryError; the next batch may succeed.
        """
        ids, lengths = pad_rows(rows, self._config.source_tokens.pad)
        found, encoder_seconds, generator_seconds = self._generators[place].generate(
            ids,
            lengths,
            max_lengths=_length_limits(lengths, options),
            deterministic=options.deterministic,
            target_prefix=[prefix.tolist() for prefix in target_prefix or ()],
            sentence_numbers=sentence_numbers or (),
            **options.search_keywords(),
        )
        self._loaded = True
        timings.encoder += encoder_seconds
        timings.generator += generator_seconds
        self._keep_kernels()
        return hypotheses_of(found, options, lengths)

    def warmup(self, sentences: int, source_length: int, options: ResolvedOptions) -> None:
        """Plans, kernels and CUDA graphs for batches of these sizes.

        Raises:
            UsageError: the engines take no such batch.
            BackendError: see `search`.
        """
        for name, given, most in (
            ("source_length", source_length, self.shapes.source.max),
            ("sentences", sentences, self._largest_batch(options)),
        ):
            if not 1 <= given <= most:
                raise UsageError(f"{name} must be from 1 to {most}, as the engines take; given {given}")
        for generator in self._generators:
            generator.warmup(
                batch=sentences,
                source=source_length,
                beam_size=options.beam_size,
                steps=options.length_limit(source_length),
                policy=options.policy,
                deterministic=options.deterministic,
                token_scores=options.token_scores,
                beam_groups=options.beam_groups,
                attention=options.keeps_attention,
                **options.score_keywords(),
            )
        self._loaded = True
        self._keep_kernels()

    def _largest_batch(self, options: ResolvedOptions) -> int:
        """Asked of a generator once, before the first search with such options: later it may be at work."""
        beam, deterministic = options.beam_size, options.deterministic
        if (beam, deterministic) not in self._largest:
            generator = self._generators[0]
            most = generator.max_batch(beam)
            if most < 1:
                hint = self._how_to_enlarge("beam", "--beam-size", f"1:{beam}:{beam}")
                raise UsageError(f"beam_size {beam} is more than the engines take; {hint}")
            self._largest[beam, deterministic] = generator.deterministic_rows(beam) if deterministic else most
        return self._largest[beam, deterministic]

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        taken = self.shapes.source
        for index, length in enumerate(lengths):
            if length > taken.max:
                hint = self._how_to_enlarge("source", "--source", f"{taken.min}:{taken.opt}:{max(lengths)}")
                raise SourceError(index, f"has {length} tokens; the engines take input_ids of 1 to {taken.max}; {hint}")

    def _how_to_enlarge(self, size: str, flag: str, enough: str) -> str:
        commands = " and ".join(f"{command} {flag} {enough}" for command in self._build_commands)
        return f"build larger ones with: {commands}, or load the model with {size}='{enough}'"

    def _keep_kernels(self) -> None:
        """Save what was compiled: kernels are when engines or shapes are new to this process, which take memory."""
        with self._keeping:
            memory = self.memory
            if self._runtime_cache is not None and memory != self._memory_of_kept:
                self._runtime_cache.save(self._library)
                self._memory_of_kept = memory


def _generator_model(model: EngineModel) -> _core.GeneratorModel:
    config, shapes = model.config, model.plans.shapes
    encoder, decoder, tokens = config.encoder, config.decoder, config.special_tokens
    return _core.GeneratorModel(
        plan_provider=model.plans.plan,
        layers=decoder.num_layers,
        heads=decoder.num_heads,
        head_size=decoder.head_size,
        encoder_layers=encoder.num_layers,
        encoder_heads=encoder.num_heads,
        encoder_head_size=encoder.head_size,
        causal_encoder=config.causal_encoder,
        vocab_size=decoder.vocab_size,
        max_positions=decoder.max_positions,
        eos=tokens.eos,
        pad=tokens.pad,
        bos=tokens.start,
        max_batch=shapes.batch.max,
        max_source=shapes.source.max,
        attention_layer=decoder.attention_layer,
        native_decoder=model.native_decoder,
    )


def _length_limits(lengths: npt.NDArray[np.int32], options: ResolvedOptions) -> npt.NDArray[np.int32]:
    """Most tokens to generate for each sentence, int32 [B]; NeMo's policy counts padding as part of a source."""
    counted = np.full_like(lengths, lengths.max()) if options.policy == "nemo" else lengths
    return np.array([options.length_limit(int(length)) for length in counted], dtype=np.int32)
