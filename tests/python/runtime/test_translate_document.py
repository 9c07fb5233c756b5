"""Model.translate_document and the windows that `nmt-trt translate --document` runs on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nmt_trt
from cli.fake_model import FakeModel
from importing.nemo_archives import write_random_nemo
from nmt_trt import Hypothesis, Timings
from nmt_trt.errors import LineError, MissingDependencyError, SourceError, UsageError
from nmt_trt.runtime.stream import document_windows
from nmt_trt.text.document import document_lines

TEXT = "  First one. And a second!\r\n\r\n* * *\n\tThird?  Fourth. \n\nlast"


class Echo(FakeModel):
    """Translates everything to itself."""

    def translate_hypotheses(
        self, texts: Sequence[str], **_: Any
    ) -> tuple[list[list[tuple[str, Hypothesis]]], Timings]:
        answers, timings = super().translate_hypotheses(texts)
        return [[(text, best[0][1])] for text, best in zip(texts, answers, strict=True)], timings


def test_sentences_are_translated_together_and_the_rest_stays() -> None:
    model = FakeModel()
    assert model.translate_document(TEXT, beam_size=3) == TEXT.upper()
    assert model.asked == [["First one.", "And a second!", "Third?", "Fourth.", "last"]]
    assert model.options == {"beam_size": 3}


@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(["", " ", "\t", "    "]),
            st.lists(
                st.sampled_from(["One two.", "Is it so?", "Yes!", "Dr. A. Smith left at 3 p.m. today."]), max_size=4
            ),
            st.sampled_from([" ", "  ", "\t"]),
            st.sampled_from(["\n", "\r\n", " \n", "\n\n", "\u2028", "\r"]),
        ),
        max_size=6,
    ),
    window=st.integers(1, 7),
)
def test_round_trip(lines: list[tuple[str, list[str], str, str]], window: int) -> None:
    text = "".join(indent + gap.join(sentences) + end for indent, sentences, gap, end in lines)
    model = Echo()
    assert model.translate_document(text) == text
    assert model.asked == [[sentence for _, sentences, _, _ in lines for sentence in sentences]]
    windows = list(document_windows(model, document_lines(text), window=window))
    assert "".join(line for lines in windows for line in lines) == text


def test_a_real_model(tmp_path: Path) -> None:
    nmt_trt.build(write_random_nemo(tmp_path / "tiny.nemo", seed=3).path, tmp_path / "model")
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    first, second, third = model.translate(["One two.", "Three!", "four"], max_length=6)
    assert model.translate_document(" One two. Three!\n\nfour\n", max_length=6) == f" {first} {second}\n\n{third}\n"
    with pytest.raises(SourceError, match=r"^lines\[1\] sentence 2, 'word word .*\.\.\.', has \d+ tokens; the model"):
        model.translate_document("fine. fine.\nfine. " + "word " * 500 + "\n")


@pytest.mark.parametrize("text", ["", "\n", " \t\r\n\n", "---\n...\n", "\u2028", "\ufeff"])
def test_nothing_to_translate(text: str) -> None:
    model = FakeModel()
    assert model.translate_document(text) == text
    assert model.asked == [[]]


def test_a_sentence_that_is_too_long_names_its_line() -> None:
    model = FakeModel(limit=12)
    with pytest.raises(SourceError, match=r"^lines\[2\] sentence 2, 'This is much too long\.', has 22 tokens") as error:
        model.translate_document("Short.\n\nShort. This is much too long. Short.\n")
    assert error.value.index == 2
    assert model.asked == []


def test_what_precedes_a_sentence_that_is_too_long_is_yielded() -> None:
    found = []
    with pytest.raises(LineError, match=r"^line 4: sentence 1, 'This is much too long\.', has 22 tokens"):
        for window in document_windows(FakeModel(limit=12), ["a\n", "\n", "b\n", "This is much too long.\n"], window=3):
            found += window
    assert found == ["A\n", "\n", "B\n"]


@pytest.mark.parametrize(("text", "message"), [(None, "text must be a string"), ("a\ud800", "lone surrogate")])
def test_what_is_no_text(text: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FakeModel().translate_document(text)


def test_wrong_options_and_a_model_without_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    options: Any = {"beams": 1}
    with pytest.raises(UsageError, match="unknown generation option beams"):
        FakeModel().translate_document("a", **options)
    with pytest.raises(UsageError, match="no tokenizer"):
        FakeModel(text=None).translate_document("a")
    with pytest.raises(UsageError, match="no tokenizer"):
        document_windows(FakeModel(text=None), ["a"])
    monkeypatch.setitem(sys.modules, "sentencesplit", None)
    with pytest.raises(MissingDependencyError, match="nmt_trt\\[documents\\]"):
        document_windows(FakeModel(), ["a"])


def test_timings_count_every_window() -> None:
    spent = Timings()
    list(document_windows(FakeModel(), ["a\n", "b\n", "c\n"], window=2, timings=spent))
    assert (spent.encoder, spent.generator, spent.postprocess) == (4, 6, 8)
    assert 2 <= spent.preprocess < 60
