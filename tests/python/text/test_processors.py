"""Processing by language, with the real packages."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import sacremoses
from hypothesis import given
from hypothesis import strategies as st

from nmt_trt.errors import MissingDependencyError
from nmt_trt.text import chinese
from nmt_trt.text.chinese import ChineseProcessor
from nmt_trt.text.dependencies import require
from nmt_trt.text.japanese import EnglishJapaneseProcessor, MecabProcessor
from nmt_trt.text.moses import DetokenizingProcessor, MosesProcessor
from nmt_trt.text.processors import PlainProcessor, make_processor
from nmt_trt.text.wide_spacing import wide_joiner


@pytest.mark.parametrize(
    ("language", "pair", "kind", "expected"),
    [
        ("en", ("en", "de"), "yttm", MosesProcessor),
        ("xx", ("xx", "de"), "sentencepiece", MosesProcessor),
        ("en", ("en", "ja"), "yttm", EnglishJapaneseProcessor),
        ("ja", ("ja", "en"), "yttm", EnglishJapaneseProcessor),
        ("en", ("en", "ja-mecab"), "yttm", MosesProcessor),
        ("ja", ("ja", "de"), "yttm", PlainProcessor),
        ("ja", ("de", "ja"), "yttm", PlainProcessor),
        ("hi", ("en", "hi"), "yttm", DetokenizingProcessor),
        ("ignore", ("ignore", "de"), "yttm", PlainProcessor),
        (None, (None, None), "yttm", PlainProcessor),
        ("zh", ("zh", "en"), "byte-level", PlainProcessor),
        ("en", ("en", "ja"), "byte-level", PlainProcessor),
    ],
)
def test_the_choice_by_language(
    language: str | None, pair: tuple[str | None, str | None], kind: str, expected: type
) -> None:
    assert type(make_processor(language, pair, kind)) is expected


def test_moses_normalises_and_does_not_escape() -> None:
    english = MosesProcessor("en")
    assert english.prepare("She said: „it isn’t <5,000>“ …") == 'She said : " it isn \'t < 5,000 > " ...'
    assert english.restore('He said : " no , it isn \'t . "') == 'He said: "no, it isn\'t."'


def test_moses_of_other_languages() -> None:
    assert MosesProcessor("fr").prepare("L’eau d'ici\u00a0!") == "L' eau d' ici !"
    assert MosesProcessor("de").prepare("„Ja“, sagte er.") == '" Ja " , sagte er .'
    assert MosesProcessor("de").restore("Das kostet 5 % .") == "Das kostet 5%."


@pytest.mark.parametrize("language", ["en", "de", "fr", "cs", "fi"])
@given(text=st.text(st.characters(max_codepoint=127)) | st.text("a1 ()\"'`.,:;%!?-<\r\n", max_size=40))
def test_moses_leaves_out_no_rule_that_changes_ascii(language: str, text: str) -> None:
    moses, whole = MosesProcessor(language), sacremoses.MosesPunctNormalizer(lang=language)
    rules = moses._ascii_normalizer.substitutions
    assert 0 < len(rules) < len(whole.substitutions) / 2 and all(rule[1].isascii() for rule in rules)
    assert moses._ascii_normalizer.normalize(text) == whole.normalize(text)


def test_hindi_is_only_detokenised() -> None:
    hindi = DetokenizingProcessor("hi")
    assert hindi.prepare("वह  “घर” है।") == "वह  “घर” है।"
    assert hindi.restore("वह घर है ?") == "वह घर है?"


def test_english_with_japanese_is_escaped() -> None:
    english, japanese = EnglishJapaneseProcessor("en"), EnglishJapaneseProcessor("ja")
    assert english.prepare("Salt & “pepper”，please\u200b.") == "Salt &amp; &quot; pepper , &quot; please ."
    assert english.restore("Salt &amp; pepper .") == "Salt & pepper."
    assert japanese.prepare("塩と“こしょう”。 A&B") == "塩と “ こしょう ” 。 A &amp; B"


def test_chinese() -> None:
    processor = ChineseProcessor()
    assert processor.prepare("我來到北京清華大學") == "我 来到 北京 清华大学"
    assert (
        processor.restore("我 来到 北京 清华大学 ， 喜欢 Python 3 和 音乐 。")
        == "我来到北京清华大学，喜欢 Python 3 和音乐。"
    )
    assert processor.restore("") == ""


def test_jieba_reads_no_cache_of_the_shared_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    jieba = require("jieba", "this test")

    def refuse(*_: object) -> None:
        raise AssertionError("jieba's own initialisation was called")

    monkeypatch.setattr(jieba.Tokenizer, "initialize", refuse)
    chinese._word_cutter.cache_clear()
    assert list(chinese._word_cutter().cut("北京大学")) == ["北京大学"]


def test_japanese_by_mecab() -> None:
    processor = MecabProcessor()
    assert processor.prepare("私はこの国の学生です。") == "私 は この 国 の 学生 です 。"
    assert processor.restore("私 は Python が 好き です 。") == "私は Python が好きです。"


@pytest.mark.parametrize(
    ("language", "module", "extra"),
    [("zh", "opencc", r"nmt_trt\[zh\]"), ("zh", "pangu", r"nmt_trt\[zh\]"), ("ja-mecab", "ipadic", r"nmt_trt\[ja\]"),
     ("ja-mecab", "MeCab", r"nmt_trt\[ja\]"), ("de", "sacremoses", "nmt_trt")],
)  # fmt: skip
def test_a_missing_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, language: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=f"needs {module}, which .*: pip install '{extra}'"):
        make_processor(language, (language, "en"), "yttm")


def test_a_later_pangu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pangu", ModuleType("pangu"))
    with pytest.raises(MissingDependencyError, match=r"needs pangu 4, as NeMo does: pip install 'nmt_trt\[zh\]'"):
        wide_joiner("zh")
