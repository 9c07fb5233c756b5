"""The Marian importer against transformers' MarianMTModel."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import MarianMTModel

import nmt_trt
from importing.marian_checkpoints import write_marian_with_text
from importing.reference import TOLERANCE, assert_equals, expected, padded, teacher_forced
from nmt_trt.inspection import inspect_path
from nmt_trt.models.config import GenerationDefaults, HfDefaults
from nmt_trt.models.huggingface import import_huggingface
from nmt_trt.models.weights import weight_shapes
from random_marian import edit_json, write_random_marian


@pytest.mark.parametrize("seed", range(12))
def test_every_architecture(tmp_path: Path, seed: int) -> None:
    """Weights, torch module and ONNX graphs of a random configuration; and a search, whose ids are real tokens."""
    reference = write_random_marian(tmp_path / "checkpoint", seed)
    imported = import_huggingface(tmp_path / "checkpoint")
    config = imported.config
    assert {name: weight.shape for name, weight in imported.weights.items()} == weight_shapes(config)
    assert all(weight.dtype == np.float32 for weight in imported.weights.values())
    assert config.shared_embeddings == reference.config.share_encoder_decoder_embeddings
    assert config.tied_output == reference.config.tie_word_embeddings
    assert_equals(imported, reference, seed)

    model_directory = tmp_path / "model"
    built = nmt_trt.build(tmp_path / "checkpoint", model_directory)
    assert built.config == config
    ids, lengths, target = padded(reference, seed)
    given = teacher_forced(model_directory, config, ids, lengths, target)
    np.testing.assert_allclose(given, expected(reference, ids, lengths, target)[1], atol=TOLERANCE, rtol=0)
    model = nmt_trt.load(model_directory, backend="onnxruntime")
    for beam_size in (1, 4):
        result = model.generate([row[:length] for row, length in zip(ids, lengths, strict=True)], beam_size=beam_size)
        for tokens in result.sequences:
            assert not {config.special_tokens.pad, config.special_tokens.eos} & set(tokens.tolist())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_checkpoints_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    write_random_marian(tmp_path, 1)
    reference = MarianMTModel.from_pretrained(tmp_path, dtype=dtype)
    reference.save_pretrained(tmp_path)
    wide = MarianMTModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert_equals(import_huggingface(tmp_path), wide)


def saved_state(path: Path) -> dict[str, torch.Tensor]:
    """What transformers before version 5 saved: every tensor under each of its names."""
    model = MarianMTModel.from_pretrained(path)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    (path / "model.safetensors").unlink()
    return state


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_torch_checkpoints(tmp_path: Path, seed: int, zip_format: bool) -> None:
    reference = write_random_marian(tmp_path, seed)
    from_safetensors = import_huggingface(tmp_path).weights
    torch.save(saved_state(tmp_path), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zip_format)
    imported = import_huggingface(tmp_path)
    assert_equals(imported, reference)
    assert from_safetensors.keys() == imported.weights.keys()
    digest = hashlib.sha256((tmp_path / "pytorch_model.bin").read_bytes()).hexdigest()
    assert imported.config.provenance is not None and imported.config.provenance.sha256 == digest


def test_positions_of_a_checkpoint_are_taken_as_they_are(tmp_path: Path) -> None:
    write_random_marian(tmp_path, 0)
    made = import_huggingface(tmp_path).weights
    state = saved_state(tmp_path)
    state["model.encoder.embed_positions.weight"] = state["model.encoder.embed_positions.weight"] + 1
    torch.save(state, tmp_path / "pytorch_model.bin")
    saved = import_huggingface(tmp_path).weights
    name = "{}.embedding.position.weight"
    np.testing.assert_array_equal(saved[name.format("decoder")], made[name.format("decoder")])
    np.testing.assert_array_equal(saved[name.format("encoder")], made[name.format("encoder")] + 1)


def test_sharded_checkpoints(tmp_path: Path) -> None:
    reference = write_random_marian(tmp_path, 3, saving={"max_shard_size": "10KB"})
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    imported = import_huggingface(tmp_path)
    assert_equals(imported, reference)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in shards)).hexdigest()
    assert imported.config.provenance is not None and imported.config.provenance.sha256 == digest


def test_a_missing_bias_is_zero(tmp_path: Path) -> None:
    write_random_marian(tmp_path, 0)
    state = saved_state(tmp_path)
    del state["final_logits_bias"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert not import_huggingface(tmp_path).weights["output.bias"].any()


def test_special_tokens_and_provenance(tmp_path: Path) -> None:
    reference = write_random_marian(tmp_path / "opus", 2).config
    config = import_huggingface(tmp_path / "opus").config
    pad = reference.pad_token_id
    assert config.special_tokens.model_dump() == {"pad": pad, "eos": 0, "start": pad}
    assert config.source_tokens.model_dump() == {"pad": pad, "bos": None, "eos": 0, "prepend": ()}
    assert config.provenance is not None
    assert (config.provenance.format, config.provenance.file) == ("marian", "opus")
    assert config.provenance.version == transformers.__version__
    assert import_huggingface(tmp_path / "opus", name="owner/opus").config.provenance != config.provenance


def test_published_search_settings_are_the_defaults(tmp_path: Path) -> None:
    write_random_marian(tmp_path, 0, generation={"num_beams": 6, "length_penalty": 0.8})
    imported = import_huggingface(tmp_path)
    pad = imported.config.special_tokens.pad
    hf = HfDefaults(beam_size=6, length_penalty=0.8, max_length=39, bad_words=((pad,),))
    assert imported.config.generation == GenerationDefaults(beam_size=6, length_penalty=0.8, max_length_delta=-1, hf=hf)
    (tmp_path / "generation_config.json").unlink()
    edit_json(tmp_path / "config.json", num_beams=3)
    assert import_huggingface(tmp_path).config.generation == GenerationDefaults(
        beam_size=3, length_penalty=1.0, max_length_delta=-1, hf=HfDefaults(beam_size=3, forced_eos=0)
    )
    edit_json(tmp_path / "config.json", num_beams=..., forced_eos_token_id=...)
    assert import_huggingface(tmp_path).config.generation == GenerationDefaults(
        beam_size=4, length_penalty=1.0, max_length_delta=-1, hf=HfDefaults(forced_eos=0)
    )


def test_settings_that_are_not_kept_are_noted(tmp_path: Path) -> None:
    write_random_marian(tmp_path, 0)
    edit_json(
        tmp_path / "generation_config.json",
        num_beams=50,
        length_penalty=-2,
        do_sample=True,
        num_return_sequences=3,
    )
    imported = import_huggingface(tmp_path)
    generation = imported.config.generation
    assert generation.hf is not None
    assert (generation.beam_size, generation.hf.beam_size) == (32, 32)
    assert (generation.length_penalty, generation.hf.length_penalty) == (1, -2)
    assert imported.notes[:3] == (
        "its num_beams 50 is more than 32, which became the default instead",
        "its search settings are not kept: do_sample, num_return_sequences",
        "its length_penalty -2 holds for policy hf; that of the others became 1",
    )
    edit_json(tmp_path / "generation_config.json", length_penalty=-200)
    imported = import_huggingface(tmp_path)
    assert imported.config.generation.hf is not None and imported.config.generation.hf.length_penalty == 1
    assert "its length_penalty -200 is not from -100 to 100; 1 became the default instead" in imported.notes


def test_text_is_translated_after_an_import_with_tokenizer(tmp_path: Path) -> None:
    reference = write_marian_with_text(tmp_path / "checkpoint", languages=("deu",))
    nmt_trt.build(tmp_path / "checkpoint", tmp_path / "model")
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    text = ">>deu<< The old harbour"
    (tokens,) = model.generate([reference(text).input_ids], max_length=12).sequences
    assert model.translate(text, max_length=12) == reference.decode(tokens, skip_special_tokens=True)
    assert sorted(path.name for path in (tmp_path / "model").glob("*.spm")) == ["source.spm", "target.spm"]
    facts = inspect_path(tmp_path / "model").config
    assert facts.text is not None and facts.text.target_languages == ("deu",)


def test_a_checkpoint_can_be_inspected(tmp_path: Path) -> None:
    reference = write_random_marian(tmp_path, 2)
    found = inspect_path(tmp_path)
    assert found.kind == "Hugging Face checkpoint" and "model.safetensors" in found.files
    trained = {id(tensor): tensor for name, tensor in reference.named_parameters() if "embed_positions" not in name}
    assert found.parameters == sum(map(torch.numel, trained.values())) + reference.config.decoder_vocab_size
