"""`nmt-trt demo`: the bundled sample text through the bundled model."""

from __future__ import annotations

from pathlib import Path

from nmt_trt.cli.console import Tables, counting, print_timings
from nmt_trt.cli.options import RuntimeFlags, SearchFlags
from nmt_trt.cli.session import open_model
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.results import Timings
from nmt_trt.runtime.stream import translate_stream

SAMPLE = "sample.en"


def demo(*, search: SearchFlags, runtime: RuntimeFlags) -> None:
    """Translate a bundled sample text with the bundled English-German model, and show where the time goes.

    Example: nmt-trt demo
    """
    lines = sample_text().splitlines()
    model = open_model(None, search.keywords(), runtime)
    print(f"model    {model.directory}\nbackend  {model.backend}\n", flush=True)
    spent = Timings()
    with counting("translating", len(lines), quiet=runtime.quiet) as advance:
        stream = translate_stream(model, lines, timings=spent, progress=advance, **search.keywords())
        translations = list(stream)
    for translation in translations:
        print(f"{translation.source}\n  {translation.text}")
    print()
    print_timings(Tables(), spent, len(lines))


def sample_text() -> str:
    """The bundled English text, one sentence a line.

    Raises:
        ModelDirectoryError: the installation lacks it.
    """
    sample = Path(__file__).parents[1] / "data" / SAMPLE
    if not sample.is_file():
        raise ModelDirectoryError(f"{sample}: the sample text is not part of this installation")
    return sample.read_text("utf-8")
