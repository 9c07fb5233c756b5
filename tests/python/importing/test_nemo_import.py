"""Whole archives: canonical weights, configuration, tokenizers; parts that do not fit together."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importing.nemo_archives import NemoArchive, State, write_nemo, write_random_nemo, write_tar
from importing.tokenizer_files import sentencepiece_model
from nmt_trt.errors import ArchiveError, Error, UnsupportedModelError
from nmt_trt.models.archive import Limits
from nmt_trt.models.config import GenerationDefaults
from nmt_trt.models.imported import ImportedModel
from nmt_trt.models.nemo import import_nemo
from nmt_trt.models.weights import weight_shapes

ARCHITECTURES: tuple[dict[str, Any], ...] = (
    {},
    {"pre_ln": True},
    {"pre_ln": True, "final_norm": True, "hidden_act": "gelu"},
    {"learned_positions": True, "shared_embeddings": True},
    {"shared_embeddings": True, "tied": False},
    {"tied": False, "shared_tokenizer": False},
    {"encoder_layers": 1, "decoder_layers": 3, "mask_future": True, "num_token_types": 0},
    {"dtype": torch.float16, "compression": "gz"},
    {"dtype": torch.bfloat16, "prefix": ""},
    {"dtype": torch.float64, "tokenizer": "sentencepiece"},
    {"tokenizer": "sentencepiece", "legacy": True, "specials": (0, -1, -1, -1)},
    {"tokenizer": "byte-level"},
    {
        "tokenizer_reference": "path",
        "library_key": "tokenizer_name",
        "nemo_version": None,
        "compression": "gz",
    },
)


def written(tmp_path: Path, **options: Any) -> NemoArchive:
    return write_random_nemo(tmp_path / "model.nemo", seed=3, **options)


def changed(
    tmp_path: Path,
    *,
    config: Callable[[dict[str, Any]], object] | None = None,
    state: Callable[[State], object] | None = None,
    files: dict[str, bytes] | None = None,
    **options: Any,
) -> Path:
    """An archive whose configuration or state dict was edited in place, or tokenizer files replaced."""
    archive = written(tmp_path, **options)
    if config is not None:
        config(archive.config)
    if state is not None:
        state(archive.state)
    write_nemo(archive.path, archive.config, archive.state, archive.tokenizer_files if files is None else files)
    return archive.path


def array(state: State, name: str) -> np.ndarray:
    return state[name].float().numpy()


@pytest.mark.parametrize("options", ARCHITECTURES, ids=str)
def test_every_architecture(tmp_path: Path, options: dict[str, Any]) -> None:
    archive = written(tmp_path, **options)
    imported = import_nemo(archive.path)
    config = imported.config
    assert {name: weight.shape for name, weight in imported.weights.items()} == weight_shapes(config)
    assert all(weight.dtype == np.float32 and weight.flags.c_contiguous for weight in imported.weights.values())
    wanted = archive.options
    assert config.encoder.final_norm is config.decoder.final_norm is (wanted.pre_ln and wanted.final_norm)
    assert (config.encoder.pre_norm, config.encoder.activation) == (wanted.pre_ln, wanted.hidden_act)
    assert config.encoder.learned_positions is wanted.learned_positions
    assert (config.shared_embeddings, config.tied_output) == (wanted.shared_embeddings, wanted.tied)
    assert (config.encoder.num_layers, config.decoder.num_layers) == (
        wanted.encoder_layers,
        wanted.decoder_layers,
    )
    assert config.text is not None and imported.notes == ()
    assert config.provenance is not None
    assert config.provenance.sha256 == hashlib.sha256(archive.path.read_bytes()).hexdigest()
    assert (config.provenance.file, config.provenance.version) == ("model.nemo", wanted.nemo_version)


def test_weights_go_where_they_belong(tmp_path: Path) -> None:
    archive = written(tmp_path, pre_ln=True, final_norm=True, tied=False)
    weights, state = import_nemo(archive.path).weights, archive.state

    def rows(*names: str) -> np.ndarray:
        return np.concatenate([array(state, name) for name in names])

    encoder, decoder = "encoder._encoder.layers.1", "decoder._decoder.layers.1"
    expected = {
        "encoder.embedding.token.weight": rows("encoder._embedding.token_embedding.weight"),
        "encoder.embedding.position.weight": rows("encoder._embedding.position_embedding.pos_enc"),
        "decoder.embedding.norm.bias": rows("decoder._embedding.layer_norm.bias"),
        "encoder.layers.1.self_attention.qkv.weight": rows(
            *(f"{encoder}.first_sub_layer.{part}_net.weight" for part in ("query", "key", "value"))
        ),
        "encoder.layers.1.self_attention.norm.weight": rows(f"{encoder}.layer_norm_1.weight"),
        "encoder.layers.1.self_attention.out.bias": rows(f"{encoder}.first_sub_layer.out_projection.bias"),
        "encoder.layers.1.ffn.norm.bias": rows(f"{encoder}.layer_norm_2.bias"),
        "encoder.layers.1.ffn.in_.weight": rows(f"{encoder}.second_sub_layer.dense_in.weight"),
        "encoder.layers.1.ffn.out.weight": rows(f"{encoder}.second_sub_layer.dense_out.weight"),
        "encoder.norm.weight": rows("encoder._encoder.final_layer_norm.weight"),
        "decoder.layers.1.self_attention.qkv.bias": rows(
            *(f"{decoder}.first_sub_layer.{part}_net.bias" for part in ("query", "key", "value"))
        ),
        "decoder.layers.1.cross_attention.norm.weight": rows(f"{decoder}.layer_norm_2.weight"),
        "decoder.layers.1.cross_attention.q.weight": rows(f"{decoder}.second_sub_layer.query_net.weight"),
        "decoder.layers.1.cross_attention.kv.weight": rows(
            *(f"{decoder}.second_sub_layer.{part}_net.weight" for part in ("key", "value"))
        ),
        "decoder.layers.1.cross_attention.out.weight": rows(f"{decoder}.second_sub_layer.out_projection.weight"),
        "decoder.layers.1.ffn.norm.weight": rows(f"{decoder}.layer_norm_3.weight"),
        "decoder.layers.1.ffn.in_.bias": rows(f"{decoder}.third_sub_layer.dense_in.bias"),
        "output.weight": rows("log_softmax.mlp.layer0.weight"),
        "output.bias": rows("log_softmax.mlp.layer0.bias"),
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(weights[name], values, err_msg=name)


def test_search_defaults(tmp_path: Path) -> None:
    imported = import_nemo(written(tmp_path, beam_size=32, len_pen=1.5, max_generation_delta=-7).path)
    defaults = imported.config.generation
    assert (defaults.beam_size, defaults.length_penalty, defaults.max_length_delta) == (32, 1.5, -7)
    assert imported.notes == ()


def test_a_wide_beam_is_capped_and_noted(tmp_path: Path) -> None:
    imported = import_nemo(written(tmp_path, beam_size=40).path)
    assert imported.config.generation.beam_size == 32
    assert imported.notes == ("its beam_size 40 is more than 32, which became the default instead",)


def test_sinusoids_are_made_when_not_saved(tmp_path: Path) -> None:
    saved = import_nemo(written(tmp_path).path).weights
    made = import_nemo(written(tmp_path, save_positions=False).path).weights
    for side in ("encoder", "decoder"):
        name = f"{side}.embedding.position.weight"
        np.testing.assert_allclose(made[name], saved[name], rtol=0, atol=1e-6)


def test_the_decoder_width_of_old_versions_is_the_encoders(tmp_path: Path) -> None:
    path = changed(tmp_path, config=lambda config: config["decoder"].update(hidden_size=512), nemo_version="1.0.0")
    assert import_nemo(path).config.decoder.hidden_size == 16


def test_the_head_has_one_layer_whatever_the_configuration_says(tmp_path: Path) -> None:
    assert written(tmp_path).config["head"]["num_layers"] == 2
    import_nemo(tmp_path / "model.nemo")


def test_generation_defaults_and_special_tokens(tmp_path: Path) -> None:
    archive = written(tmp_path, beam_size=2, len_pen=1.5, max_generation_delta=-1, specials=(3, 5, 9, 7))
    config = import_nemo(archive.path).config
    assert config.generation == GenerationDefaults(beam_size=2, length_penalty=1.5, max_length_delta=-1)
    assert config.special_tokens.model_dump() == {"pad": 5, "eos": 7, "start": 9}
    assert config.source_tokens.model_dump() == {"pad": 5, "bos": 9, "eos": 7, "prepend": ()}


def test_tokenizer_files_get_names_of_ours(tmp_path: Path) -> None:
    same = import_nemo(written(tmp_path).path)
    assert list(same.tokenizer_files) == ["tokenizer.model"]
    assert same.config.text is not None and same.config.text.target_tokenizer.file == "tokenizer.model"
    archive = written(tmp_path, shared_tokenizer=False)
    two = import_nemo(archive.path)
    assert list(two.tokenizer_files) == ["source_tokenizer.model", "target_tokenizer.model"]
    assert sorted(two.tokenizer_files.values()) == sorted(archive.tokenizer_files.values())
    assert import_nemo(written(tmp_path, tokenizer="byte-level").path).tokenizer_files == {}


def test_a_plain_path_may_mean_a_prefixed_member(tmp_path: Path) -> None:
    def plain(config: dict[str, Any]) -> None:
        for side in ("encoder_tokenizer", "decoder_tokenizer"):
            config[side]["tokenizer_model"] = "/data/tokenizer.model"

    assert import_nemo(changed(tmp_path, config=plain)).config.text is not None


def test_an_ambiguous_path_is_refused(tmp_path: Path) -> None:
    def plain(config: dict[str, Any]) -> None:
        config["encoder_tokenizer"]["tokenizer_model"] = "tokenizer.model"

    files = {f"{digit * 32}_tokenizer.model": digit.encode() for digit in "ab"}
    with pytest.raises(ArchiveError, match=r"'tokenizer\.model' may mean any of 'aaa.*', 'bbb"):
        import_nemo(changed(tmp_path, config=plain, files=files))


def without_text(imported: ImportedModel) -> tuple[int, int, int]:
    assert imported.config.text is None and imported.tokenizer_files == {}
    assert len(imported.notes) == 2 and "no encoder tokenizer file" in imported.notes[0]
    tokens = imported.config.special_tokens
    return tokens.pad, tokens.start, tokens.eos


def test_without_tokenizer_files_yttm_has_its_usual_ids(tmp_path: Path) -> None:
    assert without_text(import_nemo(written(tmp_path, tokenizer="none").path)) == (0, 2, 3)
    assert without_text(import_nemo(changed(tmp_path, files={}))) == (0, 2, 3)


def test_without_tokenizer_files_the_configuration_may_tell_the_ids(tmp_path: Path) -> None:
    def tell(config: dict[str, Any]) -> None:
        for side in ("encoder_tokenizer", "decoder_tokenizer"):
            config[side] |= {"pad_id": 3, "bos_id": 1, "eos_id": 2}

    assert without_text(import_nemo(changed(tmp_path, config=tell, files={}, tokenizer="sentencepiece"))) == (
        3,
        1,
        2,
    )
    with pytest.raises(ArchiveError, match="the encoder's special ids .* are outside its vocabulary of 3"):
        import_nemo(changed(tmp_path, tokenizer="none", vocab_size=3))


def test_without_tokenizer_files_sentencepiece_ids_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(
        ArchiveError, match="encoder_tokenizer in model_config.yaml must tell pad_id, bos_id and eos_id"
    ):
        import_nemo(changed(tmp_path, files={}, tokenizer="sentencepiece"))


@pytest.mark.parametrize("tokenizer", ["yttm", "sentencepiece"])
def test_a_tokenizer_of_another_vocabulary_is_refused(tmp_path: Path, tokenizer: str) -> None:
    other = written(tmp_path, tokenizer=tokenizer, shared_tokenizer=False).tokenizer_files
    archive = written(tmp_path, tokenizer=tokenizer)
    files = dict.fromkeys(archive.tokenizer_files, list(other.values())[1])
    with pytest.raises(ArchiveError, match=r"encoder_tokenizer has \d+ tokens; the encoder's embedding has \d+"):
        import_nemo(changed(tmp_path, tokenizer=tokenizer, files=files))


@pytest.mark.parametrize("specials", [(0, -1, 1, 2), (0, 1, -1, 2), (0, 1, 2, -1)])
@pytest.mark.parametrize("tokenizer", ["yttm", "sentencepiece"])
def test_a_tokenizer_without_a_special_token_is_unsupported(tmp_path: Path, tokenizer: str, specials: Any) -> None:
    missing = ("pad", "bos", "eos")[specials[1:].index(-1)]
    with pytest.raises(UnsupportedModelError, match=f"encoder_tokenizer has no token for {missing}"):
        import_nemo(written(tmp_path, tokenizer=tokenizer, specials=specials).path)


def test_multilingual_one_to_many(tmp_path: Path) -> None:
    options = {
        "src_language": "en",
        "tgt_language": ["de", "es"],
        "multilingual": True,
        "tokenizer": "sentencepiece",
    }
    text = import_nemo(written(tmp_path, user_symbols=("<de>", "<es>"), **options).path).config.text
    assert text is not None
    assert (text.source_language, text.target_language, text.target_languages) == ("en", None, ("de", "es"))
    assert list(text.language_tokens) == ["de", "es"]
    legacy = import_nemo(written(tmp_path, legacy=True, **options).path).config.text
    assert legacy is not None and legacy.language_tokens == {"de": 96, "es": 97}
    with pytest.raises(UnsupportedModelError, match="encoder_tokenizer lacks the language tokens <de>, <es>"):
        import_nemo(written(tmp_path, **options).path)


@pytest.mark.parametrize(("version", "tokens"), [("1.1.0", ["de", "es"]), ("1.2.0", []), ("1.23.0", [])])
def test_multilingual_many_to_one(tmp_path: Path, version: str, tokens: list[str]) -> None:
    archive = written(
        tmp_path, src_language=["de", "es"], tgt_language="en", multilingual=True, tokenizer="sentencepiece",
        user_symbols=("<de>", "<es>"), nemo_version=version,
    )  # fmt: skip
    text = import_nemo(archive.path).config.text
    assert text is not None and text.source_languages == ("de", "es")
    assert list(text.language_tokens) == tokens


LAYER = "encoder._encoder.layers.0.first_sub_layer.query_net.weight"
TABLE = "encoder._embedding.token_embedding.weight"
FINAL_NORM = "encoder._encoder.final_layer_norm"


def put(name: str, tensor: torch.Tensor) -> Callable[[State], object]:
    """An edit that sets a tensor."""
    return lambda state: state.update({name: tensor})


def drop(name: str) -> Callable[[State], object]:
    """An edit that removes a tensor."""
    return lambda state: state.pop(name)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (drop(LAYER), f"{LAYER} is missing"),
        (drop(TABLE), f"{TABLE} is missing"),
        (put("extra.weight", torch.zeros(1)), "extra.weight is unexpected"),
        (put(LAYER, torch.zeros(16, 17)), rf"{LAYER} has the shape \[16, 17\]; expected \[16, 16\]"),
        (put(LAYER, torch.zeros(16, 16).long()), f"{LAYER} has the type int64"),
        (put(LAYER, torch.full((16, 16), torch.nan)), f"{LAYER} holds values that are not finite"),
        (put(LAYER, torch.full((16, 16), -torch.inf)), f"{LAYER} holds values that are not finite"),
        (put(LAYER, torch.full((16, 16), 1e300, dtype=torch.float64)), "not finite in float32"),
        (put(TABLE, torch.zeros(3)), rf"{TABLE} has the shape \[3\]; expected \[vocabulary, hidden_size\]"),
        (put(TABLE, torch.zeros(0, 16)), rf"{TABLE} has the shape \[0, 16\]"),
        (put(f"{FINAL_NORM}.weight", torch.ones(16)), f"{FINAL_NORM}.bias is missing"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, edit: Callable[[State], object], told: str) -> None:
    with pytest.raises(ArchiveError, match=rf"^model\.nemo: model_weights\.ckpt does not fit the model: .*{told}"):
        import_nemo(changed(tmp_path, state=edit))


def test_all_that_does_not_fit_is_told_at_once(tmp_path: Path) -> None:
    def damage(state: State) -> None:
        del state[LAYER]
        state["extra"] = torch.zeros(1)
        state["log_softmax.mlp.layer0.bias"] = torch.zeros(2)

    with pytest.raises(ArchiveError, match=r"is missing; extra is unexpected; log_softmax.*\[2\]; expected \[117\]"):
        import_nemo(changed(tmp_path, state=damage))


@pytest.mark.parametrize(
    ("section", "change", "told"),
    [
        ("encoder", {"num_layers": 3}, "layers.2.layer_norm_1.weight is missing"),
        ("encoder", {"num_layers": 1}, "layers.1.layer_norm_1.weight is unexpected"),
        ("encoder", {"num_layers": 1024}, "and .* more"),
        ("decoder", {"inner_size": 64}, r"dense_in.weight has the shape \[32, 16\]; expected \[64, 16\]"),
        ("encoder", {"hidden_size": 32}, "hidden_size 32 differs from the decoder's 16"),
        ("decoder", {"num_attention_heads": 3}, "hidden_size 16 is not a multiple of num_heads 3"),
        ("encoder", {"max_sequence_length": 99}, r"pos_enc has the shape \[48, 16\]; expected \[99, 16\]"),
        ("decoder", {"learn_positional_encodings": True}, "position_embedding.weight is missing"),
    ],
)
def test_a_configuration_that_does_not_fit(tmp_path: Path, section: str, change: dict[str, Any], told: str) -> None:
    with pytest.raises(ArchiveError, match=told):
        import_nemo(changed(tmp_path, config=lambda config: config[section].update(change)))


@pytest.mark.parametrize("missing", ["model_config.yaml", "model_weights.ckpt"])
def test_a_missing_part_is_named(tmp_path: Path, missing: str) -> None:
    members = {
        "model_config.yaml": yaml.safe_dump(written(tmp_path).config).encode(),
        "model_weights.ckpt": b"PK",
    }
    del members[missing]
    write_tar(tmp_path / "model.nemo", members)
    with pytest.raises(ArchiveError, match=rf"^model\.nemo: has no member '{missing}'"):
        import_nemo(tmp_path / "model.nemo")


def test_limits_reach_the_members(tmp_path: Path) -> None:
    path = written(tmp_path).path
    with pytest.raises(ArchiveError, match=r"'model_config.yaml' has [\d,]+ bytes; at most 100 "):
        import_nemo(path, Limits(config=100))
    with pytest.raises(ArchiveError, match=r"_tokenizer.model' has [\d,]+ bytes; at most 10 "):
        import_nemo(path, Limits(tokenizer=10))


@pytest.mark.parametrize("content", [b"", b"garbage", b"1 1\n", sentencepiece_model()[:1000]])
@pytest.mark.parametrize("tokenizer", ["yttm", "sentencepiece"])
def test_a_damaged_tokenizer_is_named(tmp_path: Path, tokenizer: str, content: bytes) -> None:
    files = dict.fromkeys(written(tmp_path, tokenizer=tokenizer).tokenizer_files, content)
    with pytest.raises(ArchiveError, match=r"^model\.nemo: tokenizer file 'tokenizer.model': "):
        import_nemo(changed(tmp_path, tokenizer=tokenizer, files=files))


def test_nothing_outside_the_archive_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.model"
    secret.write_bytes(b"1 0\n9601 4\n1 0 2 3\n")

    def point(config: dict[str, Any]) -> None:
        for side in ("encoder_tokenizer", "decoder_tokenizer"):
            config[side]["tokenizer_model"] = str(secret)

    assert import_nemo(changed(tmp_path, config=point)).config.text is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_one_of_our_errors_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "damaged.nemo"
    if not path.exists():
        written(tmp_path, encoder_layers=1, decoder_layers=1)
    content = bytearray((tmp_path / "model.nemo").read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(Error):
        import_nemo(path)
