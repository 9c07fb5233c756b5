"""Documents: what is cut out to be translated, and that the rest stays."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_trt.errors import MissingDependencyError
from nmt_trt.text.document import document_lines, split_line
from nmt_trt.text.sentences import SentenceSplitter, primary_language

PIECES = [
    *"aZ9.!?…:;,-*#|()[]\"'«»“”„。！？「」।؟\n\r\t\v\f\x1c\x85\u2028\u2029\u00a0\u3000\u200b\ufeff\x00",
    *(
        " ",
        "  ",
        "word ",
        "Word ",
        "Dr. ",
        "e.g. ",
        "U.S. ",
        "1. ",
        "a) ",
        "p.m. ",
        "...",
        "\r\n",
        "\n\n",
        "日本",
        "Это ",
    ),
    *("∯", "ȸ", "&ᓷ&", "😀", "https://a.b/c?d=e "),
]
DOCUMENTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=30).map("".join)
LANGUAGES = ["en", "de", "fr", "es", "ru", "zh", "ja", "hi", "ar", "xx", None]
SPLITTERS = {language: SentenceSplitter(language) for language in LANGUAGES}


@given(text=DOCUMENTS)
def test_lines_are_the_text(text: str) -> None:
    lines = document_lines(text)
    assert "".join(lines) == text
    assert all(line.endswith("\n") for line in lines[:-1])
    assert all(line and "\n" not in line[:-1] for line in lines)


@given(text=DOCUMENTS, language=st.sampled_from(LANGUAGES))
def test_splitting_loses_nothing(text: str, language: str | None) -> None:
    sentences = SPLITTERS[language].split(text)
    assert "".join(sentences) == text and "" not in sentences


@given(text=DOCUMENTS, language=st.sampled_from(LANGUAGES), target=st.sampled_from(["de", "zh", None]))
def test_a_line_filled_with_its_own_sentences_is_the_line_but_for_spaces_between_them(
    text: str, language: str | None, target: str | None
) -> None:
    for line in document_lines(text):
        cut = split_line(line, SPLITTERS[language])
        assert len(cut.kept) == len(cut.sentences) + 1
        assert all(sentence == sentence.strip() and len(sentence.splitlines()) == 1 for sentence in cut.sentences)
        assert not any(character.isalnum() for kept in cut.kept for character in kept)
        filled = cut.filled(cut.sentences, target_language=target)
        assert filled.replace(" ", "") == line.replace(" ", "")
        assert _frame(filled) == _frame(line)


@given(text=DOCUMENTS, target=st.sampled_from(["de", "ja"]))
def test_lines_blank_lines_and_indentation_stay_whatever_the_translations(text: str, target: str) -> None:
    for line in document_lines(text):
        cut = split_line(line, SPLITTERS["en"])
        filled = cut.filled(
            [f" made\rup\u2028{number} " for number in range(len(cut.sentences))], target_language=target
        )
        assert _frame(filled) == _frame(line)
        assert [bool(part.strip()) for part in filled.splitlines()] == [
            bool(part.strip()) for part in line.splitlines()
        ]


def _frame(text: str) -> list[tuple[str, str]]:
    """The white space at both ends of each piece between line breaks, the breaks included."""
    pieces = [(part, part.strip()) for part in text.splitlines(keepends=True)]
    return [(part[: part.index(body)], part[part.index(body) + len(body) :]) for part, body in pieces]


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "Dr. Smith came at 3 p.m. He left.", ["Dr. Smith came at 3 p.m.", "He left."]),
        ("de", "Am 3. Mai kam z.B. Dr. Ott. Dann ging er!", ["Am 3. Mai kam z.B. Dr. Ott.", "Dann ging er!"]),
        ("fr", "M. Dupont est là. Il parle.", ["M. Dupont est là.", "Il parle."]),
        ("ru", "Это г. Москва. Да!", ["Это г. Москва.", "Да!"]),
        ("zh-Hans", "你好。你呢？好。", ["你好。", "你呢？", "好。"]),
        ("ja-mecab", "今日は雨だ。明日も。", ["今日は雨だ。", "明日も。"]),
        ("hi", "यह एक है। यह दो है।", ["यह एक है।", "यह दो है।"]),
        ("sv", "Det regnar. Han gick.", ["Det regnar.", "Han gick."]),
        (None, "One. Two.", ["One.", "Two."]),
    ],
)
def test_sentences(language: str | None, text: str, sentences: list[str]) -> None:
    assert split_line(text, SentenceSplitter(language)).sentences == sentences


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", [""]),
        (" \t\r\n", [" \t\r\n"]),
        ("-----\n", ["-----\n"]),
        ("  One.   Two.\tThree \n", ["  ", "   ", "\t", " \n"]),
        ("One.\fTwo.\u2028", ["", "\f", "\u2028"]),
        ("... One.", ["... ", ""]),
    ],
)
def test_what_is_kept(text: str, kept: list[str]) -> None:
    assert split_line(text, SPLITTERS["en"]).kept == kept


@pytest.mark.parametrize(
    ("source", "target", "text", "filled"),
    [
        ("zh", "en", "一。二。三。", "A B C"),
        ("zh", "ja", "一。二。三。", "ABC"),
        ("zh", None, "一。二。三。", "A B C"),
        ("en", "zh", "One. Two.  Three.\n", "AB  C\n"),
        ("en", "de", "One. Two.  Three.\n", "A B  C\n"),
    ],
)
def test_spaces_between_sentences_suit_the_target_language(
    source: str, target: str | None, text: str, filled: str
) -> None:
    assert split_line(text, SPLITTERS[source]).filled(["A", "B", "C"], target_language=target) == filled


def test_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencesplit", None)
    with pytest.raises(MissingDependencyError, match=r"needs sentencesplit, .*: pip install 'nmt_trt\[documents\]'"):
        SentenceSplitter("en")


def test_primary_language() -> None:
    given = ("zh-Hans", "pt_BR", "DE", None, "zho_Hant", "deu_Latn", "jpn", "ltz_Latn")
    assert [primary_language(name) for name in given] == ["zh", "pt", "de", None, "zh", "de", "ja", "ltz"]
