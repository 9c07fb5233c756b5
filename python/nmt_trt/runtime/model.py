"""A loaded model: generate from ids, translate text."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, Unpack, overload

from nmt_trt.errors import SourceError, UsageError
from nmt_trt.model_directory import read_tokenizer_files
from nmt_trt.models.config import TransformerConfig
from nmt_trt.option_checks import check_range
from nmt_trt.options import BatchType, GenerationKeywords, ResolvedOptions, make_options
from nmt_trt.results import GenerationResult, Hypothesis, TargetScore, Timings
from nmt_trt.runtime.backend import Backend, open_backend
from nmt_trt.runtime.batch_search import Progress, search_batches
from nmt_trt.runtime.decoding import Decoding, Translation
from nmt_trt.runtime.documents import DocumentTranslator
from nmt_trt.runtime.engine_options import EngineKeywords, make_engine_options
from nmt_trt.runtime.ensemble import joint_config, open_members
from nmt_trt.runtime.hypotheses import empty_hypothesis
from nmt_trt.runtime.inputs import (
    Row,
    SourceIds,
    check_count,
    check_first_number,
    source_rows,
    source_texts,
    target_rows,
)
from nmt_trt.runtime.scoring import ended_targets, scoring_options, target_scores
from nmt_trt.runtime.stream import DEFAULT_WINDOW, translate_stream
from nmt_trt.runtime.target_prefix import check_prefixes, encoded_prefixes, one_prefix
from nmt_trt.runtime.text_tasks import TextRecipe
from nmt_trt.runtime.text_workers import TextWorkers, check_text_workers
from nmt_trt.runtime.waves import batches_of_waves, plan_waves
from nmt_trt.runtime.worker import Worker
from nmt_trt.text.document import document_lines
from nmt_trt.text.pipeline import TextPipeline, check_text
from nmt_trt.text.target_language import into_language


class Model:
    """A model directory, or an ensemble of them, opened with a backend.

    Calls from several threads are served one after the other.

    `with nmt_trt.load(...) as model:` ends the thread of its asynchronous requests and its text workers with the block:
    once they are done, or after an exception or Ctrl-C without those requests that have not begun.

    Attributes:
        config: the model's architecture, tokens and defaults, those of its target language among them; of an ensemble
            the first model's, with as many positions as all of them have.
        directory: where it, or the first model of an ensemble, was loaded from.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        ensemble: Sequence[str | Path] = (),
        backend: str = "auto",
        threads: int | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
        text_workers: int = 0,
        **engine: Unpack[EngineKeywords],
    ) -> None:
        """Open a model directory.

        Args:
            directory: what `nmt-trt build` made.
            ensemble: further directories, of models with the same vocabularies. The search then goes by the mean of
                the models' probabilities; text rules and generation defaults are those of `directory`.
            backend: auto, tensorrt, tensorrt-rtx or onnxruntime.
            threads: CPU threads to use; the number of cores by default.
            source_language, target_language: for a multilingual model, which of its languages to translate; for any
                other, text rules to use in place of its own languages' ("ignore": none).
            text_workers: processes that turn texts into ids and ids into texts, while the backend searches; 0: this
                one does. They begin with the first call of 64 texts or more. A script then has to do what it does under
                `if __name__ == "__main__":` (docs/batching.md).
            **engine: precision, and what else there is to say about TensorRT; see EngineOptions.

        Raises:
            ModelDirectoryError: a directory is not a complete model, or lacks the precision that was asked for.
            BackendError: the backend cannot be used here.
            UsageError: an unknown backend or option, fewer than one thread, models that make no ensemble, or text
                workers that cannot be had.
        """
        check_text_workers(text_workers)
        check_range("threads", threads, 1, None)
        self.directory = Path(directory)
        members = open_members(self.directory, ensemble)
        self.config: TransformerConfig = into_language(joint_config(members), target_language)
        engine_options = make_engine_options(**engine)
        self._backend: Backend = open_backend(backend, members, self.config, threads, engine_options)
        files = read_tokenizer_files(self.directory, self.config)
        self._text = None
        if self.config.text is None and (source_language or target_language):
            raise UsageError(f"{self.directory}: this model has no tokenizer, so it knows no languages to choose from")
        if self.config.text is None and text_workers:
            raise UsageError(f"{self.directory}: this model has no tokenizer, so it has no work for text_workers")
        recipe = TextRecipe(self.config, files, source_language, target_language)
        if self.config.text is not None:
            self._text = recipe.make()
        self._text_workers = TextWorkers(recipe, text_workers)
        self._lock = threading.Lock()
        self._worker = Worker()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(cancel=kind is not None)

    def close(self, *, cancel: bool = False) -> None:
        """End the thread of the asynchronous requests, once they are done, and then the text workers.

        The other methods go on working, with their texts in this process.

        Args:
            cancel: drop the requests that have not begun; their futures are cancelled.
        """
        self._worker.close(cancel=cancel)
        self._text_workers.close()

    @property
    def backend(self) -> str:
        """The backend in use and why, in one line."""
        return self._backend.description

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of GPU memory in use, by what they are for; empty on the CPU."""
        return self._backend.memory

    @property
    def languages(self) -> tuple[str | None, str | None]:
        """What it translates from and to; None where that is not known.

        Raises:
            UsageError: the model has no tokenizer.
        """
        return self._pipeline().languages

    def warmup(self, sentences: int = 1, source_length: int = 64, **options: Unpack[GenerationKeywords]) -> None:
        """Do now what the first sentences would wait for: text workers; on a GPU engines, kernels, CUDA graphs too.

        Args:
            sentences: how many will be searched together.
            source_length: tokens of the longest of them, special ones included.
            **options: those that will be used; see GenerationOptions.

        Raises:
            UsageError: an option that cannot be used, or more than the engines take.
        """
        resolved = make_options(**options).resolve(self.config)
        with self._lock:
            self._backend.warmup(sentences, source_length, resolved)
        self._text_workers.start()

    def generate(
        self,
        src_ids: SourceIds,
        *,
        target_prefix: SourceIds | None = None,
        first_number: int = 0,
        progress: Progress | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> GenerationResult:
        """Search the best target sequences of a batch of any size.

        Args:
            src_ids: exactly the encoder's input, special tokens included: [B,S] integers padded on the right (numpy,
                or a tensor through DLPack), or a ragged list of rows.
            target_prefix: for each sentence the first tokens of all of its hypotheses, none where it is empty: rows as
                of `src_ids`, without the start token. They are part of what is returned, and count as generated ones
                do: towards lengths, and with the model's log-probabilities towards scores. Options that change scores
                begin to work behind them. EOS as last token makes it the whole translation. Not with policy "nemo".
            first_number: number of the first sentence, which the draws of policy "sample" depend on; the others have
                the numbers behind it.
            progress: told how many sentences were finished, after each batch.
            **options: see GenerationOptions.

        Raises:
            UsageError: an option or an id that cannot be used, or a source too long for the model or its engines.
            BackendError: the backend failed; the next call may succeed.
        """
        resolved = make_options(**options).resolve(self.config)
        if resolved.replace_unknowns:
            raise UsageError("replace_unknowns is of text, and generate() gives ids; use translate()")
        check_first_number(first_number)
        rows = source_rows(src_ids, self.config)
        prefixes = None if target_prefix is None else target_rows("target_prefix", target_prefix, self.config)
        return self._generate(rows, resolved, progress, prefixes, range(first_number, first_number + len(rows)))

    @overload  # a str is a sequence of str too: the first signature wins
    def translate(  # type: ignore[overload-overlap]
        self, text: str, *, target_prefix: str | None = None, **options: Unpack[GenerationKeywords]
    ) -> str: ...

    @overload
    def translate(
        self, text: Sequence[str], *, target_prefix: Sequence[str] | None = None, **options: Unpack[GenerationKeywords]
    ) -> list[str]: ...

    def translate(
        self,
        text: str | Sequence[str],
        *,
        target_prefix: str | Sequence[str] | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> str | list[str]:
        """Translate one text or a list of them; an empty one stays empty.

        `target_prefix` is what the translation begins with, one for each text; see `generate`. It is cut into the
        tokens that the target's tokenizer makes of it, so that the last of them ends where the prefix does.

        Raises:
            UsageError: the model has no tokenizer, an option cannot be used, or a text is too long for the model.
        """
        if isinstance(text, str):
            check_text(text)
            prefixes = None if target_prefix is None else [one_prefix(target_prefix)]
            return self.translate([text], target_prefix=prefixes, **options)[0]
        hypotheses, _ = self.translate_hypotheses(text, target_prefix=target_prefix, **options)
        return [best[0][0] for best in hypotheses]

    def translate_hypotheses(
        self,
        texts: Sequence[str],
        *,
        target_prefix: Sequence[str] | None = None,
        first_number: int = 0,
        progress: Progress | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> tuple[list[list[tuple[str, Hypothesis]]], Timings]:
        """Translate texts to their hypotheses, best first, each with its text; and the time of each stage.

        `target_prefix` is as for `translate`, `first_number` as for `generate`.

        With text workers that time is what was waited for, not what they did while the backend searched.

        Raises:
            UsageError: as `translate`.
        """
        pipeline = self._pipeline()
        resolved = make_options(**options).resolve(self.config)
        timings = Timings()
        started = time.perf_counter()
        given = source_texts("texts", texts)
        prefix_texts = None if target_prefix is None else source_texts("target_prefix", target_prefix)
        check_first_number(first_number)
        filled = [index for index, text in enumerate(given) if text.strip()]
        sources = [given[index] for index in filled]
        numbers = [first_number + index for index in filled]
        try:
            prefixes = encoded_prefixes(prefix_texts, len(given), filled, pipeline, self.config)
            translations = self._translate(sources, resolved, timings, progress, prefixes, numbers, started)
        except SourceError as error:
            name = "texts" if error.name == "src_ids" else error.name
            raise SourceError(filled[error.index], error.problem, name=name) from error
        started = time.perf_counter()
        nothing = empty_hypothesis(resolved)
        answers: list[list[tuple[str, Hypothesis]]] = [[("", nothing)] for _ in given]
        for index, translated in zip(filled, translations, strict=True):
            answers[index] = translated
        timings.postprocess += time.perf_counter() - started
        return answers, timings

    def score(
        self,
        src_ids: SourceIds,
        tgt_ids: SourceIds,
        *,
        progress: Progress | None = None,
        batch_size: int | None = None,
        batch_type: BatchType = "sentences",
        deterministic: bool = False,
    ) -> list[TargetScore]:
        """The log-probability of each token of translations that are given.

        Args:
            src_ids: as for `generate`.
            tgt_ids: the translation of each source: rows as of `src_ids`, without the start token, with EOS or without;
                EOS is scored in any case.
            progress: as for `generate`.
            batch_size, batch_type, deterministic: see GenerationOptions.

        Raises:
            UsageError: ids that cannot be used, or too many of them for the model.
            BackendError: the backend failed; the next call may succeed.
        """
        options = scoring_options(
            self.config, batch_size=batch_size, batch_type=batch_type, deterministic=deterministic
        )
        targets = target_rows("tgt_ids", tgt_ids, self.config)
        return self._score(source_rows(src_ids, self.config), "tgt_ids", targets, options, progress)

    def score_text(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        *,
        progress: Progress | None = None,
        batch_size: int | None = None,
        batch_type: BatchType = "sentences",
        deterministic: bool = False,
    ) -> list[TargetScore]:
        """`score` of texts, which the tokenizers of source and target cut.

        Raises:
            UsageError: as `score`; or the model has no tokenizer.
        """
        options = scoring_options(
            self.config, batch_size=batch_size, batch_type=batch_type, deterministic=deterministic
        )
        pipeline = self._pipeline()
        texts, translations = source_texts("sources", sources), source_texts("targets", targets)
        check_count("targets", len(translations), len(texts))
        try:
            rows = source_rows(self._text_workers.encode(pipeline, texts), self.config)
            tokens = target_rows("targets", self._text_workers.encode_targets(pipeline, translations), self.config)
            return self._score(rows, "targets", tokens, options, progress)
        except SourceError as error:
            name = "sources" if error.name == "src_ids" else error.name
            raise SourceError(error.index, error.problem, name=name) from error

    def generate_async(
        self, src_ids: SourceIds, *, target_prefix: SourceIds | None = None, **options: Unpack[GenerationKeywords]
    ) -> Future[GenerationResult]:
        """`generate` in the model's own thread; see `translate_async`. The ids are copied before this returns.

        Raises:
            UsageError: the model is closed.
        """
        try:
            rows = source_rows(src_ids, self.config)
            prefixes = None if target_prefix is None else target_rows("target_prefix", target_prefix, self.config)
        except UsageError as error:
            failure = error
            return self._worker.submit(lambda: _raise(failure))
        return self._worker.submit(lambda: self.generate(rows, target_prefix=prefixes, **options))

    @overload
    def translate_async(  # type: ignore[overload-overlap]
        self, text: str, *, target_prefix: str | None = None, **options: Unpack[GenerationKeywords]
    ) -> Future[str]: ...

    @overload
    def translate_async(
        self, text: Sequence[str], *, target_prefix: Sequence[str] | None = None, **options: Unpack[GenerationKeywords]
    ) -> Future[list[str]]: ...

    def translate_async(
        self,
        text: str | Sequence[str],
        *,
        target_prefix: str | Sequence[str] | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> Future[str] | Future[list[str]]:
        """`translate` in a thread that the model keeps for such requests, one after the other in their order.

        The future gets the translations or the exception; `cancel()` drops a request that has not begun. Requests are
        never merged, so that no result depends on what else is waiting: sentences to be searched together belong in
        one request. The interpreter waits at its exit for what has been asked for, unless `close` has dropped it.

        Raises:
            UsageError: the model is closed.
        """
        if isinstance(text, str):
            prefix = None if target_prefix is None else one_prefix(target_prefix)
            return self._worker.submit(lambda: self.translate(text, target_prefix=prefix, **options))
        texts = list(text)
        prefixes = target_prefix if target_prefix is None or isinstance(target_prefix, str) else list(target_prefix)
        return self._worker.submit(lambda: self.translate(texts, target_prefix=prefixes, **options))

    def translate_iter(
        self,
        lines: Iterable[str],
        *,
        window: int = DEFAULT_WINDOW,
        target_prefix: Iterable[str] | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> Iterator[str]:
        """Translate lines lazily and in order, holding no more than one window of them.

        Args:
            lines: any number of texts; an empty one stays empty.
            window: how many are read, sorted by length and translated before the first of them is yielded. More is
                faster; fewer come sooner. About a million characters end a window, too.
            target_prefix: what the translation of each line begins with, as for `translate`; read as the lines are.
            **options: see GenerationOptions.

        Raises:
            UsageError: an option that cannot be used, or a model without tokenizer; before anything is read. More or
                fewer prefixes than lines; when that shows.
            LineError: a line that cannot be translated, once everything before it has been yielded. So do exceptions
                of `lines` arrive.
        """
        translations = translate_stream(self, lines, window=window, target_prefix=target_prefix, **options)
        return (translation.text for translation in translations)

    def translate_document(self, text: str, **options: Unpack[GenerationKeywords]) -> str:
        """Translate a text of any length sentence by sentence; what is between the sentences stays.

        Each line is split into sentences by the rules of the source language; no sentence goes beyond its line. Line
        breaks of all kinds, blank lines, indentation and pieces without letters or digits are kept as they are. Spaces
        between sentences are, too, but for what Chinese and Japanese do without.

        Raises:
            SourceError: a sentence too long for the model; names the line, counted from 0, and the sentence.
            MissingDependencyError: the extra `documents` is not installed.
            UsageError: the model has no tokenizer, or an option cannot be used.
        """
        check_text(text)
        lines, _ = DocumentTranslator(self).translate(document_lines(text), **options)
        return "".join(lines)

    def _pipeline(self) -> TextPipeline:
        if self._text is None:
            raise UsageError(f"{self.directory}: this model has no tokenizer; it can only generate() from ids")
        return self._text

    def _score(
        self, rows: list[Row], name: str, targets: list[Row], options: ResolvedOptions, progress: Progress | None
    ) -> list[TargetScore]:
        check_count(name, len(targets), len(rows))
        ended = ended_targets(name, targets, self.config)
        return target_scores(ended, self._generate(rows, options, progress, ended, range(len(rows))))

    def _translate(
        self,
        sources: Sequence[str],
        options: ResolvedOptions,
        timings: Timings,
        progress: Progress | None,
        prefixes: list[Row] | None,
        numbers: Sequence[int],
        started: float,
    ) -> list[list[Translation]]:
        """The translations of texts of which none is empty; `started` is when the call's first stage was."""

        def check(indices: Sequence[int], rows: Sequence[Row]) -> None:
            if prefixes is not None:
                check_prefixes([prefixes[index] for index in indices], rows, options)

        pipeline, backend = self._pipeline(), self._backend
        waves = plan_waves(sources, options, backend.limits(options))
        waves_of_texts = [[sources[index] for index in wave] for wave in waves]
        with (
            Decoding(self._text_workers, pipeline, sources, options) as decoding,
            self._text_workers.encode_in_turn(pipeline, waves_of_texts) as encoded,
        ):
            timings.preprocess += time.perf_counter() - started
            plan = partial(backend.plan_batches, options=options)
            batches = batches_of_waves(waves, encoded, self.config, plan, check, timings)
            with self._lock:
                found = search_batches(backend, batches, options, numbers, prefixes, timings, progress, decoding.begin)
            started = time.perf_counter()
            translations = decoding.finish(found)
            timings.postprocess += time.perf_counter() - started
            return translations

    def _generate(
        self,
        rows: list[Row],
        options: ResolvedOptions,
        progress: Progress | None,
        prefixes: list[Row] | None,
        numbers: Sequence[int],
    ) -> GenerationResult:
        if prefixes is not None:
            check_prefixes(prefixes, rows, options)
        timings = Timings()
        with self._lock:
            planned = self._backend.plan_batches([row.size for row in rows], options)
            batches = ((batch, [rows[index] for index in batch]) for batch in planned)
            found = search_batches(self._backend, batches, options, numbers, prefixes, timings, progress)
        return GenerationResult(found, timings)


def _raise(error: Exception) -> NoReturn:
    raise error
