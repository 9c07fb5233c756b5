"""The pipeline gives what the real NeMo's own text code gives: ids, special ids, vocabularies, texts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from importing.nemo_archives import write_random_nemo
from importing.tokenizer_files import SENTENCES
from nmt_trt.models.nemo import import_nemo
from nmt_trt.text.pipeline import TextPipeline
from text.nemo_text import ListConfig, nemo_text_model

TEXTS = (
    *SENTENCES,
    "She said: „it isn’t <5,000>“ … or 12 %, e.g. Mr. Smith's & Co. [1]",
    "L’eau d'ici\u00a0! ¿Qué? «Non», etc.",
    "我來到北京清華大學，I like 中文 very much。100%",
    "私はこの国の学生です。ABC 100%。",
    "नमस्ते दुनिया। वह घर है ?",
    " leading and trailing \n\n",
    "",
    "<de> abc <pad> x<eos>a <bos>",
    "\u3000wide\u3000space \u2581x\ttab",
)
PIECES = {"tokenizer": "sentencepiece"}
CASES: tuple[tuple[Any, Any, dict[str, Any]], ...] = (
    ("en", "de", PIECES),
    ("de", "en", {**PIECES, "shared_tokenizer": False}),
    ("fr", "es", PIECES),
    ("xx", "cs", PIECES),
    ("zh", "en", PIECES),
    ("en", "zh", PIECES),
    ("en", "ja", PIECES),
    ("ja", "en", PIECES),
    ("ja", "de", PIECES),
    ("ja-mecab", "en", PIECES),
    ("en", "ja-mecab", PIECES),
    ("hi", "en", PIECES),
    ("en", "hi", PIECES),
    ("ignore", "ignore", PIECES),
    (None, None, PIECES),
    ("en", "ja", {"tokenizer": "byte-level"}),
    ("en", "de", {**PIECES, "legacy": True}),
    ("en", "de", {**PIECES, "legacy": True, "specials": (0, -1, -1, -1)}),
    ("en", "de", {**PIECES, "legacy": True, "specials": (1, 0, 2, 3)}),
    ("en", "de", {**PIECES, "legacy": True, "specials": (1, 2, 0, 3)}),
    ("en", ["de", "es"], {**PIECES, "legacy": True, "multilingual": True}),
    (["de", "es"], "en", {**PIECES, "multilingual": True}),
)


class Reference:
    """NeMo's side of a model: its tokenizers and processors for one pair of languages."""

    def __init__(self, source: Any, target: Any, kind: str, legacy: bool, folder: Path, files: list[bytes]) -> None:
        self.model = nemo_text_model()
        paths = [folder / "source.model", folder / "target.model"]
        for path, data in zip(paths, [files[0], files[-1]] if files else [b"", b""], strict=True):
            path.write_bytes(data)
        self.encoder, self.decoder = self.model.setup_enc_dec_tokenizers(
            kind, str(paths[0]), decoder_tokenizer_library=kind, decoder_tokenizer_model=str(paths[1]),
            encoder_sentencepiece_legacy=legacy, decoder_sentencepiece_legacy=legacy,
        )  # fmt: skip
        self.prepend: list[int] = []
        self.pair = tuple(language[-1] if isinstance(language, list) else language for language in (source, target))
        if isinstance(source, list) or isinstance(target, list):
            self._register(source, target, kind)
        self.source, self.target = self.model.setup_pre_and_post_processing_utils(*self.pair, kind, kind)

    def _register(self, source: Any, target: Any, kind: str) -> None:
        """The language token, as NeMo's translate() chooses it."""
        sides = [ListConfig(side) if isinstance(side, list) else side for side in (source, target)]
        _, _, ids = self.model.setup_multilingual_ids_and_processors(*sides, self.encoder, self.decoder, kind, kind)
        for language in self.pair:
            token = self.encoder.token_to_id(f"<{language}>")
            if token in ids.values():
                self.prepend = [token]
                return

    def encode(self, text: str) -> list[int]:
        ids, _ = self.model.prepare_inference_batch(
            [text], self.prepend, source_processor=self.source, encoder_tokenizer=self.encoder, device="cpu"
        )
        return list(ids[0].tolist())

    def decode(self, ids: list[int]) -> str:
        rows = torch.tensor([ids], dtype=torch.long)
        return str(self.model.ids_to_postprocessed_text(rows, self.decoder, self.target)[0])


@pytest.mark.parametrize(("source", "target", "options"), CASES, ids=str)
def test_the_real_nemo_agrees(tmp_path: Path, source: Any, target: Any, options: dict[str, Any]) -> None:
    archive = write_random_nemo(tmp_path / "m.nemo", src_language=source, tgt_language=target, **options)
    model = import_nemo(archive.path)
    legacy = bool(options.get("legacy"))
    files = list(archive.tokenizer_files.values())
    nemo = Reference(source, target, options["tokenizer"], legacy, tmp_path, files)
    text = TextPipeline(model.config, model.tokenizer_files).with_languages(*nemo.pair)

    frame, special = model.config.source_tokens, model.config.special_tokens
    assert (frame.pad, frame.bos, frame.eos) == (
        nemo.encoder.pad_id,
        nemo.encoder.bos_id,
        nemo.encoder.eos_id,
    )
    assert (special.pad, special.start, special.eos) == (
        nemo.decoder.pad_id,
        nemo.decoder.bos_id,
        nemo.decoder.eos_id,
    )
    assert model.config.encoder.vocab_size == nemo.encoder.vocab_size
    for line in TEXTS:
        assert text.encode(line) == nemo.encode(line), line

    draw = random.Random(0)
    size = nemo.decoder.vocab_size
    rows = [nemo.decoder.text_to_ids(line) for line in TEXTS]
    rows += [[draw.randrange(size + 3) for _ in range(draw.randrange(12))] for _ in range(100)]
    for row in rows:
        ids = [token for token in row if token not in (special.pad, special.start, special.eos)]
        # NeMo's legacy mode leaves the special tokens in its text; ours never does.
        given = ids if legacy else [special.start, *ids, special.eos, special.pad]
        assert text.decode(ids) == nemo.decode(given), ids
