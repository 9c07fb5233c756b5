"""BLEU and chrF of a model directory on the corpus's development set, by source.

    python evaluate_dev.py --dev CORPUS/dev.tsv [--model DIRECTORY] [--length-penalty 0.6 1.0] [--out hypotheses.de]

Raw text goes through `Model.translate`, and what comes out is compared with the untouched references.
Typographic quotation marks are flattened in the sources but not in the references, which costs a little everywhere.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from sacrebleu import BLEU, CHRF

import nmt_trt

NOT_DOCUMENTATION = frozenset({"ding", "freeciv", "gettext-ui", "kde-ui", "libreoffice-ui", "mediawiki", "wesnoth"})
"""Sources of games, of user interfaces and of example sentences; all the others are documentation."""


@dataclass(frozen=True)
class Line:
    """One pair of the development set."""

    source: str
    english: str
    german: str


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    sentences: int
    bleu: float
    chrf: float

    def __str__(self) -> str:
        return f"| {self.name} | {self.sentences:,} | {self.bleu:.1f} | {self.chrf:.1f} |"


def read_dev(path: Path) -> list[Line]:
    """The lines of dev.tsv: source, document, kind, score, English, German."""
    lines = []
    for line in path.read_text("utf-8").removesuffix("\n").split("\n"):
        source, _, _, _, english, german = line.split("\t")
        lines.append(Line(source, english, german))
    return lines


def table(lines: list[Line], translations: list[str]) -> list[Row]:
    """A row for every source by descending BLEU, then the documentation sources together, then everything."""

    def row(name: str, wanted: set[str]) -> Row:
        chosen = [index for index, line in enumerate(lines) if line.source in wanted]
        hypotheses = [translations[index] for index in chosen]
        references = [[lines[index].german for index in chosen]]
        bleu = BLEU().corpus_score(hypotheses, references).score
        chrf = CHRF().corpus_score(hypotheses, references).score
        return Row(name, len(chosen), bleu, chrf)

    sources = {line.source for line in lines}
    rows = sorted((row(source, {source}) for source in sources), key=lambda row: -row.bleu)
    return [*rows, row("documentation sources", sources - NOT_DOCUMENTATION), row("all", sources)]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", type=Path, required=True, help="the corpus's dev.tsv")
    parser.add_argument("--model", type=Path, help="a model directory (default: the bundled demo)")
    parser.add_argument("--length-penalty", type=float, nargs="+", default=[None], help="(default: the model's own)")
    parser.add_argument("--beam-size", type=int, help="(default: the model's own)")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, help="where to write the last translations")
    options = parser.parse_args()
    lines = read_dev(options.dev)
    model = nmt_trt.load(options.model, threads=options.threads)
    for penalty in options.length_penalty:
        started = time.monotonic()
        english = [line.english for line in lines]
        translations = model.translate(english, length_penalty=penalty, beam_size=options.beam_size)
        used = model.config.generation.length_penalty if penalty is None else penalty
        print(f"length penalty {used}, {time.monotonic() - started:.0f} s on {model.backend}\n")
        print("| source | sentences | BLEU | chrF |\n| --- | ---: | ---: | ---: |")
        print(*table(lines, translations), sep="\n", end="\n\n")
    metrics = (BLEU(), CHRF())
    for metric in metrics:
        metric.corpus_score(translations, [[line.german for line in lines]])
        print(f"{metric.get_signature()}")
    if options.out:
        options.out.write_text("\n".join(translations) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
