"""`nmt-trt evaluate`: translations scored against references."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt_trt import Model
from nmt_trt.cli.answers import translation_text
from nmt_trt.cli.console import Tables, counting, print_timings, stage_seconds
from nmt_trt.cli.files import open_output, parallel_lines
from nmt_trt.cli.options import ModelDirectory, RuntimeFlags, SearchFlags, TextWorkers
from nmt_trt.cli.session import open_model
from nmt_trt.errors import MissingDependencyError
from nmt_trt.results import Timings
from nmt_trt.runtime.stream import translate_stream
from nmt_trt.text.sentences import primary_language

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

Source = Annotated[Path, typer.Option("--source", metavar="FILE", help="Text to translate, one sentence a line.")]
Reference = Annotated[
    Path, typer.Option("--reference", metavar="FILE", help="Its translation by people, line by line.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also keep the translations.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def evaluate(
    model_dir: ModelDirectory = None,
    *,
    source: Source,
    reference: Reference,
    output: Output = None,
    as_json: AsJson = False,
    text_workers: TextWorkers = 0,
    search: SearchFlags,
    runtime: RuntimeFlags,
) -> None:
    """Translate a test set and score it with sacreBLEU: BLEU and chrF, their signatures, and the time it took.

    Example: nmt-trt evaluate my_model/ --source test.en --reference test.de
    """
    sources, references = parallel_lines(source, reference, "reference")
    model = open_model(model_dir, search.keywords(), runtime, text_workers=text_workers)
    metrics = _metrics(model)
    spent = Timings()
    started = time.perf_counter()
    with open_output(output or Path(os.devnull)) as sink:
        with counting("translating", len(sources), quiet=runtime.quiet) as advance:
            stream = translate_stream(model, sources, timings=spent, progress=advance, **search.keywords())
            translations = [translation_text(translation) for translation in stream]
        sink.writelines((translation + "\n").encode() for translation in translations)
    seconds = time.perf_counter() - started
    scores = {name: metric.corpus_score(translations, [references]).score for name, metric in metrics.items()}
    if as_json:
        _print_json(model, len(sources), seconds, spent, metrics, scores)
        return
    for name, metric in metrics.items():
        print(f"{name} {scores[name]:.2f}  {metric.get_signature().format()}")
    print(f"{seconds:.1f} s for {len(sources):,} sentences, {model.backend}\n")
    print_timings(Tables(), spent, len(sources), elapsed=seconds if runtime.batches_in_flight > 1 else None)


def _print_json(
    model: Model,
    sentences: int,
    seconds: float,
    spent: Timings,
    metrics: dict[str, Metric],
    scores: dict[str, float],
) -> None:
    report = {
        "backend": model.backend,
        "sentences": sentences,
        "seconds": seconds,
        "sentences_per_second": sentences / seconds,
        "stages": stage_seconds(spent),
    }
    report |= {
        name.lower(): {"score": scores[name], "signature": metric.get_signature().format()}
        for name, metric in metrics.items()
    }
    print(json.dumps(report, indent=2))


def _metrics(model: Model) -> dict[str, Metric]:
    """BLEU, tokenized as the target language needs it, and chrF.

    Raises:
        MissingDependencyError: sacreBLEU needs another package for the target language.
    """
    import sacrebleu  # takes a while, and no other command needs it

    language = primary_language(model.languages[1]) if model.config.text is not None else None
    try:
        return {"BLEU": sacrebleu.BLEU(trg_lang=language or ""), "chrF": sacrebleu.CHRF()}
    except RuntimeError as error:
        raise MissingDependencyError(
            f"BLEU of the language {language!r} needs a tokenizer: pip install 'sacrebleu[{language}]'"
        ) from error
