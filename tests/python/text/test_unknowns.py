"""Unknown tokens of translations, and the source words that take their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import nmt_trt
from importing.marian_checkpoints import LANGUAGES, write_marian_with_text
from importing.multilingual_checkpoints import LANGUAGES as TOKENIZER_LANGUAGES
from importing.multilingual_checkpoints import write_with_text
from importing.nemo_archives import write_random_nemo
from importing.tokenizer_files import SENTENCES, sentencepiece_model, yttm_model
from nmt_trt.errors import UsageError
from nmt_trt.models.config import VocabularyConfig
from nmt_trt.text.byte_level import ByteLevelTokenizer
from nmt_trt.text.sentencepiece_model import SentencePieceTokenizer
from nmt_trt.text.sentencepiece_vocabulary import SentencePieceVocabularyTokenizer
from nmt_trt.text.tokenizer import Tokenizer
from nmt_trt.text.unknowns import replace_unknowns
from nmt_trt.text.yttm import YttmTokenizer

UNK = 9
WORDS = [("", 2), ("eins", 1), ("zwei", 2), ("zwei", 1), ("", 1)]
TEXTS = (*SENTENCES, "", " ", "Zwei 漢字 und 漢字  mit 🙂.", "a  b ", "bread<de>butter")


def attending(*positions: int) -> NDArray[np.float32]:
    """Rows that attend most to the last two source tokens, and then to these."""
    rows = np.zeros((len(positions), 7), np.float32)
    for row, position in zip(rows, positions, strict=True):
        row[[5, 6, position]] = 0.2, 0.4, 0.3
    rows[:, 5] *= [position != 6 for position in positions]
    return rows


@pytest.mark.parametrize(
    ("tokens", "positions", "expected"),
    [
        ([1, UNK, 2], [0, 4, 0], [1, "zwei", 2]),
        ([UNK, UNK, UNK], [3, 4, 2], ["zwei", "eins"]),
        ([UNK, UNK], [4, 5], ["zwei", "zwei"]),  # two words of the same text
        ([UNK, 1, UNK], [2, 0, 2], ["eins", 1, "eins"]),
        ([1, 2], [2, 2], [1, 2]),
    ],
)
def test_each_is_replaced_by_the_word_that_it_attends_to(
    tokens: list[int], positions: list[int], expected: list[int | str]
) -> None:
    rows = np.vstack([attending(*positions), np.ones((1, 7), np.float32)])  # EOS's at the end
    assert replace_unknowns(tokens, UNK, rows, WORDS) == expected


def test_a_source_without_words_leaves_them() -> None:
    assert replace_unknowns([UNK], UNK, np.ones((1, 3), np.float32), [("", 3)]) == [UNK]


def tokenizers() -> dict[str, Tokenizer]:
    vocabulary = b'{"<unk>": 0, "</s>": 1, "<pad>": 2, ">>deu<<": 3, "\xe2\x96\x81": 4, "\xe2\x96\x81the": 5}'
    return {
        "sentencepiece": SentencePieceTokenizer(sentencepiece_model()),
        "unigram": SentencePieceTokenizer(sentencepiece_model(model_type="unigram")),
        "legacy": SentencePieceTokenizer(sentencepiece_model(), legacy=True, added_tokens=["<de>"]),
        "vocabulary": SentencePieceVocabularyTokenizer(
            sentencepiece_model(), vocabulary, VocabularyConfig(file="vocab.json")
        ),
        "yttm": YttmTokenizer(yttm_model()),
        "yttm, a piece 0": YttmTokenizer(yttm_model(specials=(1, 2, 3, 4))),
        "yttm, right to left": YttmTokenizer(yttm_model(), right_to_left=True),
        "byte-level": ByteLevelTokenizer(),
    }


@pytest.mark.parametrize("name", tokenizers())
def test_words_have_the_ids_of_the_text(name: str) -> None:
    tokenizer = tokenizers()[name]
    for text in TEXTS:
        words = tokenizer.words(text)
        assert sum(count for _, count in words) == len(tokenizer.encode(text)), text
        given = [word for word, _ in words if word]
        given = given[::-1] if "right" in name else given
        assert given == (["bread", "<de>", "butter"] if name == "legacy" and "<de>" in text else text.split())


@pytest.mark.parametrize("name", tokenizers())
def test_a_word_of_the_text_takes_the_place_of_an_id(name: str) -> None:
    tokenizer = tokenizers()[name]
    the, unknown = tokenizer.encode("the"), tokenizer.encode("漢")
    space = [32] if name == "byte-level" else [token for token in unknown if token != tokenizer.unk]
    behind = tokenizer.encode(" the")
    if "right" in name:
        middle: list[int | str] = ["Møller", *space]
    else:
        middle = [*space, "Møller"]
    assert tokenizer.decode([*the, *middle, *behind]) == "the Møller the"
    assert tokenizer.decode(["Møller"]) == "Møller"


def test_without_a_space_of_its_own_a_word_stands_behind_one() -> None:
    vocabulary = b'{"<unk>": 0, "</s>": 1, "<pad>": 2, "\xe2\x96\x81the": 3, ".": 4}'
    tokenizer = SentencePieceVocabularyTokenizer(sentencepiece_model(), vocabulary, VocabularyConfig(file="v.json"))
    assert tokenizer.decode([3, "Møller", 4]) == "the Møller."


@pytest.mark.parametrize("kind", ["nemo", "marian", "MBartTokenizer", "NllbTokenizer"])
def test_a_translation_has_the_word_of_its_source(tmp_path: Path, kind: str) -> None:
    if kind == "nemo":
        archive = write_random_nemo(tmp_path / "model.nemo", tokenizer="sentencepiece").path
    else:
        archive = tmp_path / "checkpoint"
        if kind == "marian":
            write_marian_with_text(archive, separate=False, languages=LANGUAGES)
        else:
            write_with_text(archive, kind)
    nmt_trt.build(archive, tmp_path / "model")
    source, target = {"nemo": (None, None), "marian": (None, "deu")}.get(kind) or TOKENIZER_LANGUAGES[kind]
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime", source_language=source, target_language=target)
    assert model._text is not None
    unknown = model._text._target.unk
    texts = ["", "The boats", "bread near the door", "Zwei 漢字 und Brot"]
    found, _ = model.translate_hypotheses(
        texts, replace_unknowns=True, attention=True, forced_bos=unknown, max_length=12
    )
    plain, _ = model.translate_hypotheses(texts, replace_unknowns=True, forced_bos=unknown, max_length=12)
    assert [text for ((text, _), *_) in found] == [text for ((text, _), *_) in plain]
    for text, ((translation, hypothesis), *_) in zip(texts[1:], found[1:], strict=True):
        assert hypothesis.tokens[0] == unknown and hypothesis.attention is not None
        counts = [count for _, count in model._text._source_words(text)]
        assert sum(counts) == hypothesis.attention.shape[1] == len(model._text.encode(text))
        best = hypothesis.attention[0, counts[0] : -counts[-1]].argmax() + counts[0]
        word = next(word for word, end in zip(*_ends(model._text._source_words(text)), strict=True) if best < end)
        assert translation.startswith(word), (translation, word)
    assert all(h.attention is None for ((_, h), *_) in plain)


def _ends(words: list[tuple[str, int]]) -> tuple[list[str], list[int]]:
    return [word for word, _ in words], np.cumsum([count for _, count in words]).tolist()


def test_ids_have_no_words(tmp_path: Path) -> None:
    model = nmt_trt.load(backend="onnxruntime")
    with pytest.raises(UsageError, match=r"replace_unknowns is of text, and generate\(\) gives ids; use translate\(\)"):
        model.generate([[2, 45, 3]], replace_unknowns=True)
    assert model.translate("It rains.", replace_unknowns=True) == model.translate("It rains.")
    assert model.translate_document("It rains.\n", replace_unknowns=True) == model.translate_document("It rains.\n")
    assert [*model.translate_iter(["It rains."], replace_unknowns=True)] == [model.translate("It rains.")]
