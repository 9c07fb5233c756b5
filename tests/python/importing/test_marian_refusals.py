"""Marian checkpoints that cannot be imported: one clear error each."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from importing.marian_checkpoints import write_marian_with_text
from nmt_trt.errors import ArchiveError, Error, UnsupportedModelError
from nmt_trt.models.archive import Limits
from nmt_trt.models.huggingface import import_huggingface
from random_marian import edit_json, write_random_marian

State = dict[str, Any]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A good checkpoint, of which each test spoils something."""
    write_random_marian(tmp_path / "opus", 3)
    return tmp_path / "opus"


def test_all_unsupported_options_are_named_at_once(checkpoint: Path) -> None:
    edit_json(
        checkpoint / "config.json",
        architectures=["MarianForCausalLM"],
        activation_function="gelu_new",
        normalize_before=True,
        normalize_embedding=True,
        add_final_layer_norm=True,
        static_position_embeddings=False,
        is_encoder_decoder=False,
        quantization_config={"bits": 4},
        d_model=15,
        encoder_layers=0,
    )
    edit_json(checkpoint / "generation_config.json", eos_token_id=[0, 1])
    with pytest.raises(UnsupportedModelError) as error:
        import_huggingface(checkpoint)
    for part in (
        "opus: this model is not supported: architectures is ['MarianForCausalLM']",
        "activation_function is 'gelu_new'; supported are relu, gelu, swish, silu",
        "normalize_before is true, which MarianMTModel does not compute either",
        "normalize_embedding is true",
        "add_final_layer_norm is true",
        "static_position_embeddings is false",
        "is_encoder_decoder is false",
        "quantization_config is there",
        "d_model is 15; odd widths are not supported",
        "eos_token_id has 2 tokens; one is supported",
        "encoder_layers is 0; expected an integer from 1 to 1024",
    ):
        assert str(error.value).count(part) == 1, part


@pytest.mark.parametrize("kind", ["nllb-moe", "bart", None, {}])
def test_other_models_are_named(checkpoint: Path, kind: object) -> None:
    edit_json(checkpoint / "config.json", model_type=kind, activation_function="gelu_new")
    with pytest.raises(
        UnsupportedModelError, match="^opus: config.json: model_type is .*; supported are marian, m2m_100, mbart$"
    ):
        import_huggingface(checkpoint)


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "d_model is 'x'; expected an integer": {"d_model": "x"},
    "encoder_attention_heads is 5, which does not divide d_model": {"encoder_attention_heads": 5},
    "decoder_layers is 1000000; expected an integer from 1 to 1024": {"decoder_layers": 10**6},
    "scale_embedding is 1; expected true or false": {"scale_embedding": 1},
    "max_position_embeddings is -1": {"max_position_embeddings": -1},
    "decoder_vocab_size is 9; expected vocab_size": {"share_encoder_decoder_embeddings": True, "decoder_vocab_size": 9},
    "does not fit the model": {"encoder_layers": 9},
    "has the shape": {"encoder_ffn_dim": 99},
}


@pytest.mark.parametrize("message", CONFIGURATIONS)
def test_a_wrong_configuration_is_one_clear_error(checkpoint: Path, message: str) -> None:
    edit_json(checkpoint / "config.json", **CONFIGURATIONS[message])
    with pytest.raises(ArchiveError) as error:
        import_huggingface(checkpoint)
    assert str(error.value).startswith("opus: ") and message in str(error.value)


SPECIAL_TOKENS: dict[str, dict[str, Any]] = {
    "pad_token_id is 1000; expected an integer from 0": {"pad_token_id": 1000},
    "eos_token_id is 'x'; expected an integer": {"eos_token_id": "x"},
    "decoder_start_token_id is -1; expected an integer": {"decoder_start_token_id": -1},
    "num_beams is 0; expected an integer": {"num_beams": 0},
    "pad_token_id and eos_token_id are both 0": {"pad_token_id": 0},
}


@pytest.mark.parametrize("message", SPECIAL_TOKENS)
def test_wrong_special_tokens_are_one_clear_error(checkpoint: Path, message: str) -> None:
    edit_json(checkpoint / "generation_config.json", **SPECIAL_TOKENS[message])
    with pytest.raises((ArchiveError, UnsupportedModelError), match=message):
        import_huggingface(checkpoint)


SEARCHES: dict[str, dict[str, Any]] = {
    "max_length is 1; expected an integer from 2": {"max_length": 1},
    "max_new_tokens is 0; expected an integer from 1": {"max_new_tokens": 0},
    "early_stopping is 'always'; expected true or false": {"early_stopping": "always"},
    "repetition_penalty is -1.0; expected a number above 0, at most 100": {"repetition_penalty": -1.0},
    "no_repeat_ngram_size is -1; expected an integer": {"no_repeat_ngram_size": -1},
    "forced_eos_token_id is 5000; expected an integer from 0 to": {"forced_eos_token_id": 5000},
    "forced_bos_token_id has 2 tokens; one is supported": {"forced_bos_token_id": [1, 2]},
    "bad_words_ids is a list; expected a list of lists of token ids": {"bad_words_ids": [[1], []]},
    "bad_words_ids is 5; expected token ids from 0 to": {"bad_words_ids": [5]},
    "suppress_tokens is a list; expected token ids from 0 to": {"suppress_tokens": [-1]},
}


@pytest.mark.parametrize("message", SEARCHES)
def test_wrong_search_settings_are_one_clear_error(checkpoint: Path, message: str) -> None:
    edit_json(checkpoint / "generation_config.json", **SEARCHES[message])
    with pytest.raises((ArchiveError, UnsupportedModelError), match=message):
        import_huggingface(checkpoint)


def without(name: str) -> Callable[[State], object]:
    return lambda state: state.pop(name)


def holding(name: str, value: np.ndarray) -> Callable[[State], object]:
    return lambda state: state.update({name: value})


LAYER = "model.encoder.layers.0"
STATES: dict[str, Callable[[State], object]] = {
    f"{LAYER}.fc1.weight is missing": without(f"{LAYER}.fc1.weight"),
    "lm_head.weight is missing": without("lm_head.weight"),
    "model.encoder.embed_tokens.weight is missing": without("model.encoder.embed_tokens.weight"),
    "unknown.weight is unexpected": holding("unknown.weight", np.ones(3, np.float32)),
    f"{LAYER}.fc1.bias has the shape [1, 2]; expected": holding(f"{LAYER}.fc1.bias", np.ones((1, 2), np.float32)),
    "final_logits_bias has the shape [4]; expected [1, ": holding("final_logits_bias", np.ones(4, np.float32)),
    f"{LAYER}.fc1.bias has the type int64": lambda state: state.update(
        {f"{LAYER}.fc1.bias": state[f"{LAYER}.fc1.bias"].astype(np.int64)}
    ),
    f"{LAYER}.fc1.bias holds values that are not finite": lambda state: state.update(
        {f"{LAYER}.fc1.bias": state[f"{LAYER}.fc1.bias"] * np.float32(np.nan)}
    ),
}


@pytest.mark.parametrize("message", STATES)
def test_wrong_tensors_are_one_clear_error(checkpoint: Path, message: str) -> None:
    state = dict(load_file(checkpoint / "model.safetensors"))
    STATES[message](state)
    save_file(state, checkpoint / "model.safetensors")
    with pytest.raises(ArchiveError) as error:
        import_huggingface(checkpoint)
    assert str(error.value).startswith("opus: model.safetensors does not fit the model: ")
    assert message in str(error.value)


def test_tables_that_should_be_one_are_refused_when_they_differ(tmp_path: Path) -> None:
    write_random_marian(tmp_path, 0)
    state = dict(load_file(tmp_path / "model.safetensors"))
    state["lm_head.weight"] = state["model.shared.weight"] + 1
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ArchiveError, match="lm_head.weight differs from model.shared.weight, to which"):
        import_huggingface(tmp_path)


def test_truncated_weights_are_one_clear_error(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    data = path.read_bytes()
    for size in (0, 7, 8, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ArchiveError, match="model.safetensors: not a safetensors file, or a damaged one"):
            import_huggingface(checkpoint)


def test_headers_are_not_believed(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    rng = np.random.default_rng(0)
    data = path.read_bytes()
    for _ in range(200):
        damaged = bytearray(data)
        for place in rng.integers(0, 2000, 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with suppress(Error):
            import_huggingface(checkpoint)


def test_a_type_of_no_translation_model_is_refused(checkpoint: Path) -> None:
    header = json.dumps({"x": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (checkpoint / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"abcd")
    with pytest.raises(ArchiveError, match="model.safetensors: x has the type F8_E4M3; expected one of"):
        import_huggingface(checkpoint)


class Malicious:
    """What a pickle may call when torch reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


def test_no_pickle_is_executed(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkpoint / "model.safetensors").unlink()
    torch.save({"final_logits_bias": Malicious()}, checkpoint / "pytorch_model.bin")
    with pytest.raises(ArchiveError, match="^opus: pytorch_model.bin: the pickle refers to __builtin__.print"):
        import_huggingface(checkpoint)
    assert "executed" not in capsys.readouterr().out


INDEXES = {
    "[]": "expected a JSON object; found list",
    "{": "is not JSON",
    "{}": "expected an object weight_map",
    '{"weight_map": {"a": "../../secret.safetensors"}}': "expected the name of a safetensors file beside it",
    '{"weight_map": {"a": "/etc/passwd"}}': "expected the name of a safetensors file beside it",
    '{"weight_map": {"a": 5}}': "expected the name of a safetensors file beside it",
    '{"weight_map": {"a": "model-2.safetensors"}}': "model-2.safetensors cannot be read: No such file",
}


@pytest.mark.parametrize("content", INDEXES)
def test_a_wrong_index_is_one_clear_error(checkpoint: Path, content: str) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "model-1.safetensors")
    (checkpoint / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ArchiveError) as error:
        import_huggingface(checkpoint)
    assert str(error.value).startswith("opus: ") and INDEXES[content] in str(error.value)


def test_a_tensor_in_two_shards_is_refused(checkpoint: Path) -> None:
    data = (checkpoint / "model.safetensors").read_bytes()
    (checkpoint / "model.safetensors").unlink()
    for number in (1, 2):
        (checkpoint / f"model-{number}.safetensors").write_bytes(data)
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(ArchiveError, match="model-2.safetensors: tensor '.*' is in another file too"):
        import_huggingface(checkpoint)


def test_missing_and_oversized_files(checkpoint: Path) -> None:
    with pytest.raises(ArchiveError, match="config.json has more than 100 bytes"):
        import_huggingface(checkpoint, Limits(config=100))
    with pytest.raises(ArchiveError, match="model.safetensors has more than 1,000 bytes"):
        import_huggingface(checkpoint, Limits(total=1000))
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(ArchiveError, match="^opus: has no weights; expected one of model.safetensors, "):
        import_huggingface(checkpoint)
    (checkpoint / "config.json").unlink()
    with pytest.raises(ArchiveError, match="^opus: config.json cannot be read: No such file or directory$"):
        import_huggingface(checkpoint)


TOKENIZERS: dict[str, dict[str, Any]] = {
    "sp_model_kwargs are given": {"sp_model_kwargs": {"alpha": 0.1}},
    "it has added tokens: <eop>": {"additional_special_tokens": ["<eop>"]},
    "it has added tokens: foo": {"added_tokens_decoder": {"0": {"content": "</s>"}, "9": {"content": "foo"}}},
    "separate_vocabs is 'yes'; expected true or false": {"separate_vocabs": "yes"},
    "eos_token is 5; expected a token": {"eos_token": 5},
    "vocab.json has no id for <stop>": {"eos_token": "<stop>"},
}


@pytest.mark.parametrize("message", TOKENIZERS)
def test_wrong_tokenizer_settings_are_one_clear_error(tmp_path: Path, message: str) -> None:
    write_marian_with_text(tmp_path)
    edit_json(tmp_path / "tokenizer_config.json", **TOKENIZERS[message])
    with pytest.raises((ArchiveError, UnsupportedModelError), match=message):
        import_huggingface(tmp_path)


def test_tokenizers_must_fit_the_model(tmp_path: Path) -> None:
    write_marian_with_text(tmp_path)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    edit_json(tmp_path / "vocab.json", new=5000)
    with pytest.raises(ArchiveError, match="vocab.json has ids up to 5000; the embedding has"):
        import_huggingface(tmp_path)
    swapped = vocabulary | {"</s>": vocabulary["<unk>"], "<unk>": vocabulary["</s>"]}
    (tmp_path / "vocab.json").write_text(json.dumps(swapped))
    with pytest.raises(ArchiveError, match="gives '</s>' the id 1; expected eos_token_id, which is 0"):
        import_huggingface(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "target.spm").write_bytes(b"nothing")
    with pytest.raises(ArchiveError, match="target.spm: not a SentencePiece model"):
        import_huggingface(tmp_path)


def test_without_one_tokenizer_file_there_is_no_text(tmp_path: Path) -> None:
    write_marian_with_text(tmp_path)
    (tmp_path / "target.spm").unlink()
    imported = import_huggingface(tmp_path)
    assert imported.config.text is None and imported.tokenizer_files == {}
    assert imported.notes == ("no tokenizer (target.spm missing): it cannot translate text",)
