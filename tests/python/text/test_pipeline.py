"""Text to encoder ids and decoder ids to text, over whole models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from importing.nemo_archives import write_random_nemo
from importing.tokenizer_files import SENTENCES
from nmt_trt.errors import ArchiveError, ModelDirectoryError, UsageError
from nmt_trt.models.imported import ImportedModel
from nmt_trt.models.nemo import import_nemo
from nmt_trt.text.pipeline import TextPipeline


def imported(tmp_path: Path, **options: Any) -> ImportedModel:
    return import_nemo(write_random_nemo(tmp_path / "model.nemo", **options).path)


def pipeline(tmp_path: Path, **options: Any) -> TextPipeline:
    model = imported(tmp_path, **options)
    return TextPipeline(model.config, model.tokenizer_files)


@pytest.mark.parametrize("options", [{}, {"r2l": True}, {"tokenizer": "sentencepiece"}, {"tokenizer": "byte-level"}])
def test_sentences_survive_the_round_trip(tmp_path: Path, options: dict[str, Any]) -> None:
    text = pipeline(tmp_path, **options)
    for sentence in SENTENCES[:4]:
        ids = text.encode(sentence)
        assert text.decode(ids[1:-1]) == text.decode(ids) == text.decode(np.array(ids, np.int32)) == sentence


def test_the_frame_is_that_of_the_source_tokenizer(tmp_path: Path) -> None:
    text = pipeline(tmp_path, tokenizer="byte-level")
    assert text.encode("ab\n\n") == [257, 97, 98, 258]
    assert text.encode("") == [257, 258]
    assert text.encode("a\nb ") == [257, 97, 10, 98, 32, 258]


def test_text_is_tokenised_before_it_is_encoded(tmp_path: Path) -> None:
    plain = pipeline(tmp_path, src_language="ignore")
    moses = pipeline(tmp_path)
    assert moses.encode("boats.") == plain.encode("boats .") != plain.encode("boats.")


def test_the_target_language_decides_how_text_is_put_together(tmp_path: Path) -> None:
    text = pipeline(tmp_path, tokenizer="byte-level")
    words = "你好 世界".encode()
    assert text.decode(list(words)) == "你好 世界"
    chinese = pipeline(tmp_path, tokenizer="sentencepiece", tgt_language="zh")
    ids = pipeline(tmp_path, tokenizer="sentencepiece").encode("Two gulls .")[1:-1]
    assert chinese.decode(ids) == "Two gulls ."


def test_ids_beyond_the_vocabulary_are_unknown(tmp_path: Path) -> None:
    text = pipeline(tmp_path)
    ids = text.encode("the boats")
    assert text.decode([*ids[:-1], 10**6, -4]) == "the boats"
    pieces = pipeline(tmp_path, tokenizer="sentencepiece", tgt_language="ignore")
    assert pieces.decode([10**6]) == " \u2047 "


def test_one_to_many_needs_a_target_language(tmp_path: Path) -> None:
    text = pipeline(
        tmp_path, tokenizer="sentencepiece", legacy=True, multilingual=True, tgt_language=["de", "es"],
    )  # fmt: skip
    with pytest.raises(UsageError, match="this model has several target languages; choose one of de, es"):
        text.encode("the boats")
    with pytest.raises(UsageError, match="choose one of de, es"):
        text.decode([5])
    with pytest.raises(UsageError, match="target language must be one of de, es; given 'fr'"):
        text.with_languages(target="fr")
    german, spanish = text.with_languages(target="de"), text.with_languages(target="es")
    assert german.encode("the boats")[0] == 96 and spanish.encode("the boats")[0] == 97
    assert german.encode("the boats")[1:] == spanish.encode("the boats")[1:]
    assert german.encode("the boats")[1] == 1


@pytest.mark.parametrize(("version", "prefixed"), [("1.1.0", True), ("1.23.0", False)])
def test_many_to_one_needs_a_source_language(tmp_path: Path, version: str, prefixed: bool) -> None:
    text = pipeline(
        tmp_path, tokenizer="sentencepiece", user_symbols=("<de>", "<es>"), multilingual=True,
        src_language=["de", "es"], tgt_language="en", nemo_version=version,
    )  # fmt: skip
    with pytest.raises(UsageError, match="several source languages; choose one of de, es"):
        text.encode("the boats")
    assert (text.with_languages(source="es").encode("the boats")[0] == 1) is not prefixed


def test_languages_of_a_bilingual_model_may_be_switched_off(tmp_path: Path) -> None:
    text = pipeline(tmp_path)
    assert text.with_languages().encode("boats.") == text.encode("boats.")
    off = text.with_languages(source="ignore", target="ignore")
    assert off.encode("boats .") == text.encode("boats.") != off.encode("boats.")
    assert off.decode(text.encode("boats.")) == "boats ."


@pytest.mark.parametrize("given", [None, b"bytes", 3, ["list"]])
def test_only_strings_are_text(tmp_path: Path, given: Any) -> None:
    with pytest.raises(UsageError, match="text must be a string; given"):
        pipeline(tmp_path).encode(given)


@pytest.mark.parametrize("tokenizer", ["yttm", "sentencepiece", "byte-level"])
def test_undecodable_bytes_are_refused(tmp_path: Path, tokenizer: str) -> None:
    with pytest.raises(UsageError, match=r"found a lone surrogate, '\\udcff', at 2"):
        pipeline(tmp_path, tokenizer=tokenizer).encode(b"ab\xff".decode("utf-8", "surrogateescape"))


def test_a_model_without_tokenizer_has_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no tokenizer"):
        pipeline(tmp_path, tokenizer="none")


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    config = imported(tmp_path).config
    with pytest.raises(ModelDirectoryError, match=r"tokenizer file 'tokenizer\.model' is missing"):
        TextPipeline(config, {})
    with pytest.raises(ArchiveError, match=r"tokenizer file 'tokenizer\.model': not a YouTokenToMe model"):
        TextPipeline(config, {"tokenizer.model": b"x"})


@pytest.mark.parametrize("language", ["en", "zh", "ja-mecab"])
def test_threads_get_the_same_answers(tmp_path: Path, language: str) -> None:
    text = pipeline(tmp_path, tokenizer="sentencepiece", src_language=language)
    lines = [*SENTENCES, "我來到北京清華大學", "私はこの国の学生です。"] * 10
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(text.encode, lines)) == [text.encode(line) for line in lines]
