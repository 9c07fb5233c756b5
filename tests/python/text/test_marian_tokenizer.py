"""Tokenizers of Marian checkpoints against transformers' MarianTokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MarianTokenizer

from importing.marian_checkpoints import LANGUAGES, write_marian_with_text, write_tokenizer
from importing.tokenizer_files import SENTENCES, sentencepiece_model
from nmt_trt.errors import ArchiveError, UsageError
from nmt_trt.models.config import VocabularyConfig
from nmt_trt.models.huggingface import import_huggingface
from nmt_trt.text.pipeline import TextPipeline
from nmt_trt.text.sentencepiece_vocabulary import SentencePieceVocabularyTokenizer

TEXTS = (
    *SENTENCES,
    "Something with 漢字, emoji 🙂 and \u00a0 spaces  twice",
    ">>deu<< The old harbour",
    ">>deu<<The old harbour",
    ">>xyz<< an unknown language",
    ">>deu<< >>fra<< two prefixes",
    ">> no prefix <<",
    "in the middle >>deu<< is no prefix",
    ">>deu",
    "</s> and <pad> and <unk> in a text",
    "<pad>>>deu<< behind a special token",
    " leading and trailing ",
    "\u2581",
    "a",
)


def pipeline(path: Path) -> TextPipeline:
    imported = import_huggingface(path)
    return TextPipeline(imported.config, imported.tokenizer_files)


@pytest.fixture(scope="module", params=[False, True], ids=["one vocabulary", "two vocabularies"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TextPipeline, MarianTokenizer]:
    """Our tokenizer and the reference."""
    path = tmp_path_factory.mktemp("marian")
    reference = write_marian_with_text(path, separate=request.param, languages=LANGUAGES)
    return pipeline(path), reference


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_transformers(both: tuple[TextPipeline, MarianTokenizer], text: str) -> None:
    ours, reference = both
    assert ours.encode(text) == reference(text).input_ids


@given(text=st.text(alphabet="The oldharbuwks>>deu<<, .éß漢</s>pan", max_size=30))
@settings(max_examples=100, deadline=None)
def test_ids_of_any_text_equal_transformers(both: tuple[TextPipeline, MarianTokenizer], text: str) -> None:
    ours, reference = both
    assert ours.encode(text) == reference(text).input_ids


@given(ids=st.lists(st.integers(0, 80), max_size=20))
@settings(max_examples=100, deadline=None)
def test_texts_of_ids_equal_transformers(both: tuple[TextPipeline, MarianTokenizer], ids: list[int]) -> None:
    ours, reference = both
    known = [token for token in ids if token in reference.decoder]
    assert ours.decode(known) == reference.decode(known, skip_special_tokens=True)


def test_decoding_joins_pieces_and_drops_special_tokens(both: tuple[TextPipeline, MarianTokenizer]) -> None:
    ours, reference = both
    ids = reference(text_target="alte Hafen wacht").input_ids
    pad, eos, unk = reference.pad_token_id, reference.eos_token_id, reference.unk_token_id
    assert ours.decode([pad, *ids[:2], unk, *ids[2:], eos, pad, 10**6]) == "alte Hafen wacht"
    assert ours.decode([]) == ours.decode([eos]) == ""


def test_empty_texts(both: tuple[TextPipeline, MarianTokenizer]) -> None:
    ours, reference = both
    assert ours.encode("") == reference("").input_ids == [reference.eos_token_id]


def test_a_chosen_language_is_put_in_front_unless_the_text_names_one(tmp_path: Path) -> None:
    reference = write_marian_with_text(tmp_path, languages=LANGUAGES)
    ours, text = pipeline(tmp_path), "The old harbour"
    french = ours.with_languages(target="fra")
    assert french.encode(text) == reference(f">>fra<< {text}").input_ids
    assert french.encode(f">>deu<< {text}") == reference(f">>deu<< {text}").input_ids
    assert ours.encode(text) == reference(text).input_ids
    with pytest.raises(UsageError, match="target language must be one of deu, fra, spa_Latn; given 'ita'"):
        ours.with_languages(target="ita")


def test_names_of_special_tokens_are_read_from_the_configuration(tmp_path: Path) -> None:
    names = {"unk_token": "<unk>", "eos_token": {"content": "</s>"}, "pad_token": None}
    reference = write_marian_with_text(tmp_path)
    content = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(content | names))
    assert pipeline(tmp_path).encode("The old") == reference("The old").input_ids


VOCABULARIES = {
    "{": "vocab.json is not JSON",
    "[" * 100_000: "vocab.json is not JSON",
    "[1]": "expected an object of ids by piece; found list",
    "{}": "expected an object of ids by piece; found dict",
    '{"</s>": 0, "<unk>": 1, "<pad>": "2"}': "'<pad>' has the id 2; expected an integer from 0",
    '{"</s>": 0, "<unk>": 1, "<pad>": -2}': "'<pad>' has the id -2",
    '{"</s>": 0, "<unk>": 1.0, "<pad>": 2}': "'<unk>' has the id 1.0",
    '{"</s>": 0, "<unk>": true, "<pad>": 2}': "'<unk>' has the id True",
    '{"</s>": 0, "<unk>": 1, "a": 1, "<pad>": 2}': "'<unk>' and 'a' have the same id 1",
    '{"</s>": 0, "<unk>": 1}': "vocab.json has no id for <pad>",
    f'{{"</s>": 0, "<unk>": 1, "<pad>": {1 << 40}}}': "'<pad>' has the id 1099511627776",
}


@pytest.mark.parametrize("content", VOCABULARIES, ids=[content[:50] for content in VOCABULARIES])
def test_a_wrong_vocabulary_is_one_clear_error(content: str) -> None:
    with pytest.raises(ArchiveError) as error:
        SentencePieceVocabularyTokenizer(sentencepiece_model(90), content.encode(), VocabularyConfig(file="vocab.json"))
    assert VOCABULARIES[content] in str(error.value)


def test_a_damaged_sentencepiece_model_is_one_clear_error(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    vocabulary = (tmp_path / "vocab.json").read_bytes()
    for data in (b"", b"\0" * 50, sentencepiece_model(90)[:100]):
        with pytest.raises(ArchiveError, match="SentencePiece model"):
            SentencePieceVocabularyTokenizer(data, vocabulary, VocabularyConfig(file="vocab.json"))
