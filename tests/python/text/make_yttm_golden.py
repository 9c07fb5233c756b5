"""Makes data/yttm_golden.json with the real YouTokenToMe; run by hand where that package is installed.

    pip install 'setuptools<81' cython && pip install --no-build-isolation youtokentome==1.0.6
    python make_yttm_golden.py

Models: the defaults; few merges; other special ids, two of them absent; special ids elsewhere, so that U+2581
has id 0. Texts: ordinary sentences, unknown characters, every kind of space, repeated characters, long words.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import youtokentome  # type: ignore[import-not-found]

sys.path.insert(0, str(Path(__file__).parents[1]))
from importing.tokenizer_files import SENTENCES

OPTIONS: tuple[dict[str, int], ...] = (
    {"vocab_size": 220},
    {"vocab_size": 90},
    {"vocab_size": 150, "pad_id": -1, "unk_id": 0, "bos_id": -1, "eos_id": 1},
    {"vocab_size": 160, "pad_id": 159, "unk_id": 5, "bos_id": 6, "eos_id": 100},
)
TEXTS = (
    *SENTENCES,
    "The lighthouse keeper counted nine ships, and none of them stopped.",
    "",
    "   ",
    " a\tb\nc\vd\fe\rf  ",
    "one\u2581two \u2581 three\u2581",
    "non\u00a0breaking, next\u0085line and em\u2003space are no separators",
    "漢字漢字 and 漢字a漢字 😀",
    "eeeeeeeeee nnnnnnn tttt aaa",
    "the" * 60,
    "<PAD><BOS> <EOS> <UNK>",
)


def golden(options: dict[str, int], corpus: Path) -> dict[str, Any]:
    """A model as text, and what YouTokenToMe makes of TEXTS with it."""
    model = corpus.with_suffix(".model")
    youtokentome.BPE.train(data=str(corpus), model=str(model), n_threads=1, **options)
    bpe = youtokentome.BPE(model=str(model))
    specials = [bpe.subword_to_id(name) for name in ("<UNK>", "<PAD>", "<BOS>", "<EOS>")]
    ids = bpe.encode(list(TEXTS), output_type=youtokentome.OutputType.ID)
    kept = [[token for token in row if token not in specials] for row in ids]
    return {
        "model": model.read_text(encoding="ascii"),
        "vocab_size": bpe.vocab_size(),
        "unk_pad_bos_eos": specials,
        "texts": list(TEXTS),
        "ids": ids,
        "reversed_ids": bpe.encode(list(TEXTS), output_type=youtokentome.OutputType.ID, reverse=True),
        "decoded": [bpe.decode([row])[0] for row in kept],
    }


def main() -> None:
    """Write the file beside this script."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join(SENTENCES), encoding="utf-8")
        cases = [golden(options, corpus) for options in OPTIONS]
    target = Path(__file__).parent / "data" / "yttm_golden.json"
    target.write_text(json.dumps(cases, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
