"""Prepare the demo model's data: Moses text, a joint SentencePiece model, and compact token arrays.

The text path is the one that NeMo's `translate` applies before SentencePiece: punctuation normalisation, then Moses
tokenisation without escaping, each for its own language. Three stages, each skipped when its output is there:

    moses   train.tsv.xz, dev.tsv  ->  moses.tsv (kind, score, English, German), train/dev.*
    spm     moses.tsv              ->  train/spm.model
    encode  moses.tsv, spm.model   ->  train/tokens.npz, train/dev_tokens.npz

Training needs the folder train/ only.
"""

from __future__ import annotations

import argparse
import lzma
from collections.abc import Iterable, Iterator
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sentencepiece
from sacremoses import MosesPunctNormalizer, MosesTokenizer

LANGUAGES = ("en", "de")
KINDS = ("sent", "short", "dict")
MIN_SCORE = {"sent": 0.3, "short": 0.3, "dict": 0.2}
"""Alignment scores below these are mostly free translations; the bars are low because short strings score coarsely."""
MAX_TOKENS = 127
"""Longest side, without start and end tokens."""
MAX_CHARACTERS = 1200
VOCABULARY = 8192

Pair = tuple[str, str]
Row = tuple[str, str, str, str]


class Moses:
    """Normalise and tokenise one language as NeMo's MosesProcessor does."""

    def __init__(self, language: str) -> None:
        self._normalizer = MosesPunctNormalizer(lang=language)
        self._tokenizer = MosesTokenizer(lang=language)

    def __call__(self, text: str) -> str:
        """Return `text` as space-separated Moses tokens."""
        normal = self._normalizer.normalize(text.rstrip("\n"))
        return str(self._tokenizer.tokenize(normal, escape=False, return_str=True))


_processors: dict[str, Moses] = {}


def _start_worker() -> None:
    _processors.update({language: Moses(language) for language in LANGUAGES})


def _moses_row(row: Row) -> Row:
    kind, score, english, german = row
    return kind, score, _processors["en"](english), _processors["de"](german)


def read_rows(lines: Iterable[str]) -> Iterator[Row]:
    """Yield (kind, score, English, German) of the corpus's tab-separated lines."""
    for line in lines:
        _, _, kind, score, english, german = line.rstrip("\n").split("\t")
        yield kind, score, english, german


def keep(row: Row) -> bool:
    """Whether a pair is aligned well enough and of usable length."""
    kind, score, english, german = row
    return float(score) >= MIN_SCORE[kind] and max(len(english), len(german)) <= MAX_CHARACTERS


def run_moses(corpus: Path, data: Path, processes: int) -> None:
    """Write moses.tsv and the development files."""
    with lzma.open(corpus / "train.tsv.xz", "rt", encoding="utf-8", newline="\n") as lines:
        rows = [row for row in read_rows(lines) if keep(row)]
    with open(corpus / "dev.tsv", encoding="utf-8", newline="\n") as lines:
        dev = list(read_rows(lines))
    partial = data / "moses.tsv.partial"
    with Pool(processes, _start_worker) as pool:
        moses_dev = pool.map(_moses_row, dev, chunksize=256)
        with open(partial, "w", encoding="utf-8", newline="\n") as out:
            for row in pool.imap(_moses_row, rows, chunksize=2000):
                if row[2] and row[3]:
                    out.write("\t".join(row) + "\n")
    for name, texts in (
        ("train/dev.en", [row[2] for row in dev]),
        ("train/dev.de", [row[3] for row in dev]),
        ("train/dev.moses.en", [row[2] for row in moses_dev]),
        ("train/dev.moses.de", [row[3] for row in moses_dev]),
    ):
        (data / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    partial.rename(data / "moses.tsv")


def read_moses(data: Path) -> Iterator[Row]:
    """Yield the rows of moses.tsv."""
    with open(data / "moses.tsv", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            kind, score, english, german = line.rstrip("\n").split("\t")
            yield kind, score, english, german


def train_spm(data: Path, threads: int) -> None:
    """Train the joint BPE model on both sides of the sentences and short labels."""
    text = data / "spm.txt"
    with open(text, "w", encoding="utf-8", newline="\n") as out:
        for kind, _, english, german in read_moses(data):
            if kind != "dict":
                out.write(f"{english}\n{german}\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(data / "train" / "spm"),
        model_type="bpe",
        vocab_size=VOCABULARY,
        character_coverage=0.9999,
        normalization_rule_name="nmt_nfkc",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        max_sentence_length=8192,
        num_threads=threads,
        minloglevel=1,
    )
    text.unlink()


def pack(rows: list[list[int]]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Return all tokens in one array and the rows' lengths."""
    flat = np.fromiter((token for row in rows for token in row), dtype=np.int16)
    return flat, np.array([len(row) for row in rows], dtype=np.uint8)


def save_tokens(path: Path, kinds: list[str], sources: list[list[int]], targets: list[list[int]]) -> None:
    """Write token arrays without special tokens; `kind` indexes KINDS."""
    source, source_length = pack(sources)
    target, target_length = pack(targets)
    kind = np.array([KINDS.index(name) for name in kinds], dtype=np.uint8)
    np.savez_compressed(
        path,
        kind=kind,
        source=source,
        source_length=source_length,
        target=target,
        target_length=target_length,
    )


def encode(data: Path) -> None:
    """Write tokens.npz and dev_tokens.npz and print statistics."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(data / "train" / "spm.model"))
    seen: set[Pair] = set()
    rows = []
    for kind, _, english, german in read_moses(data):
        if (english, german) not in seen:
            seen.add((english, german))
            rows.append((kind, english, german))
    sources = processor.encode([row[1] for row in rows], num_threads=2)
    targets = processor.encode([row[2] for row in rows], num_threads=2)
    chosen = [
        (row[0], source, target)
        for row, source, target in zip(rows, sources, targets, strict=True)
        if 0 < len(source) <= MAX_TOKENS and 0 < len(target) <= MAX_TOKENS
    ]
    print(f"{len(rows)} distinct pairs, {len(rows) - len(chosen)} too long or empty")
    report(chosen, processor.unk_id())
    save_tokens(data / "train" / "tokens.npz", *(list(column) for column in zip(*chosen, strict=True)))
    dev = [
        processor.encode((data / "train" / f"dev.moses.{language}").read_text("utf-8").splitlines())
        for language in LANGUAGES
    ]
    report([("sent", *pair) for pair in zip(*dev, strict=True)], processor.unk_id())
    cut = [[ids[:MAX_TOKENS] for ids in side] for side in dev]
    save_tokens(data / "train" / "dev_tokens.npz", ["sent"] * len(cut[0]), *cut)


def report(rows: list[tuple[str, list[int], list[int]]], unknown: int) -> None:
    """Print pairs, tokens, mean lengths and unknown tokens of each kind."""
    for name in KINDS:
        pairs = [row for row in rows if row[0] == name]
        if not pairs:
            continue
        source = sum(len(row[1]) for row in pairs)
        target = sum(len(row[2]) for row in pairs)
        unknowns = sum(row[1].count(unknown) + row[2].count(unknown) for row in pairs)
        print(
            f"{name:5} {len(pairs):7} pairs, source {source} target {target} tokens, "
            f"mean {source / len(pairs):.1f}/{target / len(pairs):.1f}, unknown {unknowns / (source + target):.5%}"
        )


def main() -> None:
    """Run the stages whose output is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with train.tsv.xz and dev.tsv")
    parser.add_argument("--data", type=Path, default=Path(".data"), help="output folder")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    (options.data / "train").mkdir(parents=True, exist_ok=True)
    if not (options.data / "moses.tsv").exists():
        run_moses(options.corpus, options.data, options.processes)
    if not (options.data / "train" / "spm.model").exists():
        train_spm(options.data, options.processes)
    encode(options.data)


if __name__ == "__main__":
    main()
