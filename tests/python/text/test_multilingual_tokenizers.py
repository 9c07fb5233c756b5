"""Tokenizers of M2M100, NLLB and mBART checkpoints against those of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import NllbTokenizer

from importing.multilingual_checkpoints import LANGUAGES, TOKENIZERS, write_tokenizer, write_with_text
from importing.tokenizer_files import SENTENCES, sentencepiece_model
from nmt_trt.errors import ArchiveError, UnsupportedModelError, UsageError
from nmt_trt.models.huggingface import import_huggingface
from nmt_trt.text.pipeline import TextPipeline
from random_marian import edit_json
from random_multilingual import write_random_multilingual

TEXTS = (
    *SENTENCES,
    "Something with 漢字, emoji 🙂 and spaces  twice",
    " leading",
    ">>deu<< is no language here",
    "one</s>two<unk>three<pad>",
    "a",
)


def pipeline(path: Path) -> TextPipeline:
    imported = import_huggingface(path)
    return TextPipeline(imported.config, imported.tokenizer_files)


class Both:
    """Our tokenizer and the reference, in a directory."""

    def __init__(self, path: Path, name: str, **settings: Any) -> None:
        self.path, self.name = path, name
        _, self.reference = write_with_text(path, name, **settings)
        self.ours = pipeline(path)
        self.chosen = self.ours.with_languages(*LANGUAGES[name])
        self.reference.src_lang, self.reference.tgt_lang = LANGUAGES[name]


@pytest.fixture(scope="module", params=TOKENIZERS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    return Both(tmp_path_factory.mktemp("checkpoint"), request.param)


def token(both: Both, language: str) -> int:
    """transformers' id of a language."""
    name = f"__{language}__" if both.name == "M2M100Tokenizer" else language
    return int(both.reference.convert_tokens_to_ids(name))


@pytest.mark.parametrize("text", TEXTS)
def test_ids_equal_transformers(both: Both, text: str) -> None:
    assert both.chosen.encode(text) == both.reference(text).input_ids


def test_every_language_has_its_id(both: Both) -> None:
    text = import_huggingface(both.path).config.text
    assert text is not None and text.source_languages == text.target_languages
    assert len(text.language_tokens) == {"M2M": 100, "Nll": 202, "MBa": 25}[both.name[:3]] + 27 * ("50" in both.name)
    assert text.language_tokens == {language: token(both, language) for language in text.source_languages}
    assert both.reference.unk_token_id not in text.language_tokens.values()


def test_a_language_in_a_text_is_its_token(both: Both) -> None:
    name = both.reference.convert_ids_to_tokens(token(both, LANGUAGES[both.name][1]))
    text = f"The old{name}harbour"
    assert both.chosen.encode(text) == both.reference(text).input_ids
    assert token(both, LANGUAGES[both.name][1]) in both.chosen.encode(text)


@given(text=st.text(alphabet="The oldharbuwks, .éß漢", max_size=30).map(lambda text: " ".join(text.split())))
@settings(max_examples=100, deadline=None)
def test_ids_of_any_text_equal_transformers(both: Both, text: str) -> None:
    """But for the order of pieces that are equally likely in any, as of "oo" and "o", in a unigram model."""
    ours, theirs = both.chosen.encode(text), both.reference(text).input_ids
    assert ours == theirs or ("MBart" in both.name and sorted(ours) == sorted(theirs))


@given(ids=st.lists(st.integers(4, 105), max_size=20))
@settings(max_examples=100, deadline=None)
def test_texts_of_ids_equal_transformers(both: Both, ids: list[int]) -> None:
    assert both.chosen.decode(ids) == both.reference.decode(ids, skip_special_tokens=True).strip()


def test_translations_begin_with_their_language_and_leave_no_trace_of_it(both: Both) -> None:
    language, text = token(both, LANGUAGES[both.name][1]), "Der alte Hafen"
    labels = both.reference(text_target=text).input_ids
    ours = both.chosen.encode_target(text)
    if both.name == "MBartTokenizer":  # the start token is the language, and stands last in what transformers gives
        assert [*ours, 2, language] == labels
    else:
        assert [*ours, 2] == labels and ours[0] == language
    mask = [number for number in [both.reference.mask_token_id] if number is not None]
    assert both.chosen.decode([0, language, *ours, 1, 3, *mask, 2]) == text


def test_legacy_nllb_names_the_language_behind(tmp_path: Path) -> None:
    both = Both(tmp_path, "NllbTokenizer", legacy_behaviour=True)
    ids = both.chosen.encode(SENTENCES[0])
    assert ids == both.reference(SENTENCES[0]).input_ids
    assert ids[-2:] == [2, token(both, "eng_Latn")]


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name != "M2M100Tokenizer"])
def test_what_transformers_5_saves_is_one_file(tmp_path: Path, name: str) -> None:
    both = Both(tmp_path, name)
    both.reference.src_lang = LANGUAGES[name][0]
    for file in ("sentencepiece.bpe.model", "tokenizer_config.json"):
        (tmp_path / file).unlink()
    both.reference.save_pretrained(tmp_path)
    assert not (tmp_path / "sentencepiece.bpe.model").exists()
    saved = TOKENIZERS[name].from_pretrained(tmp_path)
    ours = pipeline(tmp_path).with_languages(*LANGUAGES[name])
    for text in TEXTS:
        assert ours.encode(text) == saved(text).input_ids, text
    assert ours.decode(ours.encode(TEXTS[0])) == TEXTS[0]


DAMAGES: dict[str, dict[str, Any]] = {
    "expected a model of the type BPE or Unigram": {"model": {"type": "WordPiece"}},
    "is damaged (KeyError: 'vocab')": {"model": {"type": "BPE"}},
    "is damaged (AttributeError": {"model": {"type": "BPE", "vocab": [1], "merges": []}},
    "is damaged (ValueError: not enough values": {"model": {"type": "BPE", "vocab": {"a": 9}, "merges": ["ab"]}},
    "is damaged (ValueError: a score is not a number": {"model": {"type": "Unigram", "vocab": [["a", 1e40]]}},
    "is damaged (TypeError": {"added_tokens": 5},
    "is damaged (Error": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "*"}},
    "has no id for": {"model": {"type": "Unigram", "vocab": [["a", 1.0]]}, "added_tokens": []},
    "have the same id 9": {"model": {"type": "BPE", "vocab": {"a": 9, "b": 9}, "merges": []}},
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_wrong_tokenizer_json_is_one_clear_error(tmp_path: Path, message: str) -> None:
    both = Both(tmp_path, "NllbTokenizer")
    (tmp_path / "sentencepiece.bpe.model").unlink()
    both.reference.save_pretrained(tmp_path)
    edit_json(tmp_path / "tokenizer.json", **DAMAGES[message])
    with pytest.raises(ArchiveError) as error:
        import_huggingface(tmp_path)
    assert message in str(error.value)


def test_ids_without_added_tokens_are_fairseqs(tmp_path: Path) -> None:
    """Those of the first published checkpoints, whose tokenizer_config.json names no ids."""
    both = Both(tmp_path, "NllbTokenizer")
    edit_json(tmp_path / "tokenizer_config.json", added_tokens_decoder=..., extra_special_tokens=...)
    edit_json(tmp_path / "config.json", tokenizer_class="NllbTokenizerFast")
    imported = import_huggingface(tmp_path).config.text
    edit_json(tmp_path / "tokenizer_config.json", tokenizer_class=...)
    assert import_huggingface(tmp_path).config.text == imported
    assert imported is not None
    assert imported.language_tokens == {name: token(both, name) for name in imported.source_languages}


def test_the_languages_of_wmt21(tmp_path: Path) -> None:
    _, reference = write_with_text(
        tmp_path, "M2M100Tokenizer", language_codes="wmt21", additional_special_tokens=["__ha__", "__de__"]
    )
    text = import_huggingface(tmp_path).config.text
    assert text is not None
    assert text.language_tokens == {language: reference.get_lang_id(language) for language in text.source_languages}


def test_a_language_of_its_own(tmp_path: Path) -> None:
    """A checkpoint that was trained further, for a language that its tokenizer's files name."""
    path = tmp_path / "tokenizer_config.json"
    size = write_tokenizer(tmp_path, "NllbTokenizer")
    added = json.loads(path.read_text())["added_tokens_decoder"]
    edit_json(path, added_tokens_decoder={**added, str(size): {"content": "ltz_Test", "special": True}})
    write_random_multilingual(tmp_path, "m2m_100", 0, vocab_size=size + 1)
    reference = NllbTokenizer.from_pretrained(tmp_path, src_lang="ltz_Test")
    assert reference.convert_tokens_to_ids("ltz_Test") == size
    assert pipeline(tmp_path).with_languages("ltz_Test", "deu_Latn").encode("old") == reference("old").input_ids


def test_a_language_added_to_those_that_no_file_names(tmp_path: Path) -> None:
    """As transformers 4 saved an M2M100 tokenizer with one more token."""
    size = write_tokenizer(tmp_path, "M2M100Tokenizer")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"__tlh__": size}))
    write_random_multilingual(tmp_path, "m2m_100", 0, vocab_size=size + 1)
    text = import_huggingface(tmp_path).config.text
    assert text is not None and len(text.source_languages) == 101
    assert text.language_tokens["tlh"] == size == text.language_tokens["zu"] + 1


def test_languages_must_be_chosen(both: Both) -> None:
    source, target = LANGUAGES[both.name]
    with pytest.raises(UsageError, match=r"several source languages; choose one of .*, \.\.\. \(\d+ in all\)"):
        both.ours.encode("The old harbour")
    with pytest.raises(UsageError, match="several target languages; choose one of "):
        both.ours.with_languages(source).encode("The old harbour")
    with pytest.raises(UsageError, match=rf"target language must be one of .*{target}.*; given '{target[:-1]}~'"):
        both.ours.with_languages(source, target[:-1] + "~")
    with pytest.raises(UsageError, match="source language must be one of"):
        both.ours.with_languages("Klingon", target)


def test_the_source_language_may_be_the_tokenizers(tmp_path: Path) -> None:
    both = Both(tmp_path, "MBart50Tokenizer", src_lang="fi_FI", tgt_lang="ro_RO")
    assert both.ours.languages == ("fi_FI", None)
    both.reference.src_lang = "fi_FI"
    assert both.ours.with_languages(target="de_DE").encode("a") == both.reference("a").input_ids


REFUSED: dict[str, dict[str, Any]] = {
    "tokenizer_class is 'BertTokenizer'; supported are M2M100Tokenizer, Nllb": {"tokenizer_class": "BertTokenizer"},
    "it has added tokens: <eop>": {"additional_special_tokens": ["<eop>"]},
    "it has added tokens: foo": {"added_tokens_decoder": {"5000": {"content": "foo"}}},
    "'<pad>' has another id among the added tokens than 1": {"added_tokens_decoder": {"9": {"content": "<pad>"}}},
    "added_tokens_decoder: expected a token by its id at 'x'": {"added_tokens_decoder": {"x": {"content": "<pad>"}}},
    "sp_model_kwargs are given": {"sp_model_kwargs": {"alpha": 0.1}},
    "src_lang is 'tlh'; expected one of its languages": {"src_lang": "tlh"},
    "legacy_behaviour is 1; expected true or false": {"legacy_behaviour": 1},
    "language_codes is 'x'; supported are": {"language_codes": "x"},
    "eos_token_id, which is 2": {"eos_token": "<pad>", "pad_token": "</s>"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_wrong_settings_are_one_clear_error(tmp_path: Path, message: str) -> None:
    write_with_text(tmp_path, "M2M100Tokenizer")
    edit_json(tmp_path / "tokenizer_config.json", **REFUSED[message])
    with pytest.raises((ArchiveError, UnsupportedModelError)) as error:
        import_huggingface(tmp_path)
    assert message in str(error.value)


MODELS = {
    "sentencepiece.bpe.model: not a SentencePiece model": b"nothing",
    "sentencepiece.bpe.model begins with <pad>, <s>, </s>; expected <unk>, <s>, </s>": sentencepiece_model(
        90, (3, 0, 1, 2)
    ),
    "sentencepiece.bpe.model has a piece that is called as a special token": sentencepiece_model(90),
}


@pytest.mark.parametrize("message", MODELS)
def test_another_sentencepiece_model_is_refused(tmp_path: Path, message: str) -> None:
    write_with_text(tmp_path, "MBartTokenizer")
    (tmp_path / "sentencepiece.bpe.model").write_bytes(MODELS[message])
    with pytest.raises(ArchiveError, match=f": {message}"):
        import_huggingface(tmp_path)


def test_without_a_tokenizer_file_there_is_no_text(tmp_path: Path) -> None:
    write_with_text(tmp_path, "M2M100Tokenizer")
    (tmp_path / "vocab.json").unlink()
    imported = import_huggingface(tmp_path)
    assert imported.config.text is None and imported.tokenizer_files == {}
    assert imported.notes == ("no tokenizer (vocab.json missing): it cannot translate text",)
