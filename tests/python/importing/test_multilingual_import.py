"""The importer of M2M100 and mBART checkpoints against transformers' models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import nmt_trt
from importing.reference import TOLERANCE, assert_equals, expected, padded, teacher_forced
from nmt_trt.errors import ArchiveError, UnsupportedModelError
from nmt_trt.models.config import HfDefaults
from nmt_trt.models.huggingface import import_huggingface
from nmt_trt.models.weights import weight_shapes
from random_marian import edit_json
from random_multilingual import FAMILIES, PAD, write_random_multilingual

SEEDS = range(60 if os.environ.get("NMT_TRT_TEST_ALL") == "1" else 8)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_architecture(tmp_path: Path, family: str, seed: int) -> None:
    """Weights, torch module and ONNX graphs of a random configuration."""
    reference = write_random_multilingual(tmp_path / "checkpoint", family, seed)
    imported = import_huggingface(tmp_path / "checkpoint")
    config = imported.config
    assert {name: weight.shape for name, weight in imported.weights.items()} == weight_shapes(config)
    assert config.shared_embeddings == config.tied_output == reference.config.tie_word_embeddings
    assert_equals(imported, reference, seed)

    built = nmt_trt.build(tmp_path / "checkpoint", tmp_path / "model")
    assert built.config == config
    ids, lengths, target = padded(reference, seed)
    given = teacher_forced(tmp_path / "model", config, ids, lengths, target)
    np.testing.assert_allclose(given, expected(reference, ids, lengths, target)[1], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_long_sentences_reach_the_last_position(tmp_path: Path, family: str) -> None:
    reference = write_random_multilingual(tmp_path / "checkpoint", family, 1, max_position_embeddings=20)
    imported = import_huggingface(tmp_path / "checkpoint")
    for side in ("encoder", "decoder"):
        assert imported.weights[f"{side}.embedding.position.weight"].shape[0] == 20
    nmt_trt.build(tmp_path / "checkpoint", tmp_path / "model")
    ids = np.full((1, 20), 5, np.int32)
    target = np.full((1, 20), 7)
    given = teacher_forced(tmp_path / "model", imported.config, ids, np.array([20], np.int32), target)
    wanted = expected(reference, ids, np.array([20]), target)[1]
    np.testing.assert_allclose(given, wanted, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_another_padding_token(tmp_path: Path, family: str) -> None:
    """M2M100's positions count from it."""
    reference = write_random_multilingual(tmp_path, family, 2, pad_token_id=0, bos_token_id=1)
    imported = import_huggingface(tmp_path)
    assert imported.config.special_tokens.pad == 0
    assert_equals(imported, reference)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_older_versions_of_transformers_saved(tmp_path: Path, family: str) -> None:
    """Every tensor under each of its names, computed positions too; or the shared table alone."""
    reference = write_random_multilingual(tmp_path, family, 3, tie_word_embeddings=True)
    state = {name: tensor.contiguous() for name, tensor in reference.state_dict().items()}
    if family == "m2m_100":
        state |= {f"model.{side}.embed_positions.weights": torch.zeros(9, 4) for side in ("encoder", "decoder")}
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert_equals(import_huggingface(tmp_path), reference)


def test_a_shared_table_without_a_tied_output(tmp_path: Path) -> None:
    """Before transformers 5 the two sides had one table whatever tie_word_embeddings said, saved once."""
    reference = write_random_multilingual(tmp_path, "m2m_100", 4, tie_word_embeddings=False)
    state = load_file(tmp_path / "model.safetensors")
    for side in ("encoder", "decoder"):
        del state[f"model.{side}.embed_tokens.weight"]
        getattr(reference.model, side).embed_tokens.weight = reference.model.shared.weight
    save_file(state, tmp_path / "model.safetensors")
    imported = import_huggingface(tmp_path)
    assert imported.config.shared_embeddings and not imported.config.tied_output
    assert_equals(imported, reference)


def test_m2m100_has_no_output_bias(tmp_path: Path) -> None:
    write_random_multilingual(tmp_path, "m2m_100", 0)
    assert not import_huggingface(tmp_path).weights["output.bias"].any()
    state = load_file(tmp_path / "model.safetensors")
    save_file({**state, "final_logits_bias": torch.zeros(1, 9)}, tmp_path / "model.safetensors")
    with pytest.raises(ArchiveError, match="final_logits_bias is unexpected"):
        import_huggingface(tmp_path)


def test_mbart_must_have_its_positions(tmp_path: Path) -> None:
    write_random_multilingual(tmp_path, "mbart", 0)
    state = load_file(tmp_path / "model.safetensors")
    del state["model.decoder.embed_positions.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ArchiveError, match=r"model\.decoder\.embed_positions\.weight is missing"):
        import_huggingface(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_searches_and_provenance(tmp_path: Path, family: str) -> None:
    write_random_multilingual(tmp_path / "checkpoint", family, 0, generation={"forced_bos_token_id": 7, "num_beams": 5})
    imported = import_huggingface(tmp_path / "checkpoint")
    config = imported.config
    assert config.special_tokens.model_dump() == {"pad": PAD, "eos": 2, "start": 2}
    assert config.generation.hf == HfDefaults(beam_size=5, max_length=39, forced_bos=7)
    assert config.generation.forced_bos == 7
    assert config.provenance is not None and config.provenance.format == family
    missing = "sentencepiece.bpe.model" + (", vocab.json" if family == "m2m_100" else "")
    assert imported.notes == (f"no tokenizer ({missing} missing): it cannot translate text",)


def test_an_old_mbart_configuration(tmp_path: Path) -> None:
    """It forces EOS where it does not say so, and starts with BOS where it names no start, as transformers does."""
    write_random_multilingual(tmp_path, "mbart", 0)
    (tmp_path / "generation_config.json").unlink()
    edit_json(
        tmp_path / "config.json",
        decoder_start_token_id=...,
        forced_eos_token_id=...,
        normalize_before=True,
        normalize_embedding=True,
        add_final_layer_norm=True,
        static_position_embeddings=False,
    )
    config = import_huggingface(tmp_path).config
    assert config.special_tokens.start == 0
    assert config.generation.hf is not None and config.generation.hf.forced_eos == 2


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("pad_token_id", 3, "pad_token_id is 1 in config.json, where positions begin behind it, and 3 in generation_"),
        (
            "decoder_start_token_id",
            PAD,
            "decoder_start_token_id is 1, which is pad_token_id: it would have no position",
        ),
    ],
)
def test_positions_are_counted_from_the_models_own_pad(tmp_path: Path, key: str, value: int, told: str) -> None:
    write_random_multilingual(tmp_path, "m2m_100", 0)
    edit_json(tmp_path / "generation_config.json", **{key: value})
    with pytest.raises(UnsupportedModelError, match=told):
        import_huggingface(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_unsupported_options_are_named_at_once(tmp_path: Path, family: str) -> None:
    reference = write_random_multilingual(tmp_path / "model", family, 0)
    name = type(reference).__name__
    edit_json(
        tmp_path / "model" / "config.json",
        architectures=["SomethingForCausalLM"],
        activation_function="gelu_new",
        normalize_before=False,
        is_encoder_decoder=False,
        is_decoder=True,
        quantization_config={"bits": 8},
        d_model=15,
    )
    with pytest.raises(UnsupportedModelError) as error:
        import_huggingface(tmp_path / "model")
    for part in (
        "model: this model is not supported: architectures is ['SomethingForCausalLM']",
        f"only ['{name}'] is supported",
        "activation_function is 'gelu_new'; supported are relu, gelu, swish, silu",
        f"normalize_before is false, which {name} does not compute either",
        "is_encoder_decoder is false",
        "is_decoder is true",
        "quantization_config is there",
        "d_model is 15; odd widths are not supported",
    ):
        assert str(error.value).count(part) == 1, part


def test_positions_need_a_width(tmp_path: Path) -> None:
    write_random_multilingual(tmp_path, "m2m_100", 0)
    edit_json(tmp_path / "config.json", d_model=2, encoder_attention_heads=1, decoder_attention_heads=1)
    with pytest.raises(ArchiveError, match="d_model is 2; expected more than 2 with these positions"):
        import_huggingface(tmp_path)
