"""model_config.yaml: defaults by version, every unsupported option at once, nothing but our errors."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from importing.nemo_archives import NemoOptions, nemo_config
from nmt_trt.errors import ArchiveError, Error, UnsupportedModelError
from nmt_trt.models.nemo_config import NemoConfig, parse_nemo_config

MEMBER = "0" * 32 + "_tokenizer.model"


def config(**options: Any) -> dict[str, Any]:
    return nemo_config(NemoOptions(**options), MEMBER, MEMBER)


def parse(content: object) -> NemoConfig:
    return parse_nemo_config(yaml.safe_dump(content).encode())


def without(section: str, key: str) -> dict[str, Any]:
    content = config()
    del (content[section] if section else content)[key]
    return content


def test_what_is_read() -> None:
    parsed = parse(config(pre_ln=True, hidden_act="gelu", learned_positions=True, beam_size=7, len_pen=0.25))
    assert (parsed.encoder.hidden_size, parsed.encoder.num_layers, parsed.encoder.inner_size) == (16, 2, 32)
    assert (parsed.decoder.num_heads, parsed.decoder.max_positions) == (2, 48)
    assert parsed.encoder.pre_norm and parsed.encoder.learned_positions and parsed.encoder.activation == "gelu"
    assert (parsed.beam_size, parsed.length_penalty, parsed.max_length_delta) == (7, 0.25, 5)
    assert (parsed.source_language, parsed.target_language) == ("en", "de")
    assert parsed.source_tokenizer.library == "yttm" and parsed.source_tokenizer.model == f"nemo:{MEMBER}"


@pytest.mark.parametrize(
    ("version", "causal"),
    [(None, False), ("1.0.0rc1", False), ("1.5.0", False), ("1.5.1", False), ("1.6.0rc0", True), ("1.6.0", True),
     ("1.10.0", True), ("1.23.0", True), ("2.0.0", True)],
)  # fmt: skip
def test_a_missing_mask_future_depends_on_the_version(version: str | None, causal: bool) -> None:
    assert parse(config(nemo_version=version)).causal_encoder is causal


@pytest.mark.parametrize("version", ["1.5.0", "1.23.0"])
def test_a_given_mask_future_does_not(version: str) -> None:
    assert parse(config(nemo_version=version, mask_future=True)).causal_encoder
    assert not parse(config(nemo_version=version, mask_future=False)).causal_encoder
    assert not parse(config(nemo_version=version, extra={"encoder.mask_future": None})).causal_encoder


def test_defaults_of_missing_keys() -> None:
    content = config()
    for key in ("beam_size", "len_pen", "max_generation_delta", "head", "multilingual"):
        del content[key]
    for side in ("encoder", "decoder"):
        for key in ("library", "max_sequence_length", "hidden_act", "pre_ln", "learn_positional_encodings"):
            del content[side][key]
    for key in ("library", "r2l", "sentencepiece_legacy"):
        del content["encoder_tokenizer"][key]
    parsed = parse(content)
    assert (parsed.beam_size, parsed.length_penalty, parsed.max_length_delta) == (4, 0.0, 10)
    assert (parsed.encoder.max_positions, parsed.encoder.activation, parsed.encoder.pre_norm) == (
        512,
        "relu",
        False,
    )
    assert (parsed.source_tokenizer.library, parsed.source_tokenizer.right_to_left) == ("yttm", False)


def test_the_first_release_candidate_says_tokenizer_name() -> None:
    assert parse(config(library_key="tokenizer_name", tokenizer="sentencepiece")).target_tokenizer.library == (
        "sentencepiece"
    )


def test_right_to_left_is_for_yttm_and_legacy_for_sentencepiece() -> None:
    yttm = parse(config(r2l=True, legacy=True)).source_tokenizer
    piece = parse(config(r2l=True, legacy=True, tokenizer="sentencepiece")).source_tokenizer
    assert (yttm.right_to_left, yttm.legacy) == (True, False)
    assert (piece.right_to_left, piece.legacy) == (False, True)


@pytest.mark.parametrize("delta", [-3, 0, 10**9])
def test_any_generation_delta(delta: int) -> None:
    assert parse(config(max_generation_delta=delta)).max_length_delta == delta


def test_numbers_that_yaml_1_1_reads_as_strings() -> None:
    data = yaml.safe_dump(config()).replace("len_pen: 0.6", "len_pen: 6e-1").encode()
    assert parse_nemo_config(data).length_penalty == 0.6


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"target": "nemo.collections.nlp.models.MTBottleneckModel"}, "target is 'nemo.*MTBottleneckModel'"),
        ({"target": None}, "target is ''"),
        ({"target": "evil.NotMTEncDecModel"}, "target is"),
        ({"encoder.library": "huggingface"}, "encoder.library is 'huggingface'; only 'nemo'"),
        ({"decoder.library": "megatron"}, "decoder.library is 'megatron'"),
        ({"encoder.arch": "perceiver"}, "encoder.arch is 'perceiver', a bottleneck model"),
        ({"decoder.hidden_act": "swish"}, "decoder.hidden_act is 'swish'; relu and gelu"),
        (
            {"encoder_tokenizer.library": "huggingface"},
            "encoder_tokenizer.library is 'huggingface'; supported are yttm",
        ),
        ({"decoder_tokenizer.library": "tabular"}, "decoder_tokenizer.library is 'tabular'"),
        ({"head.log_softmax": False}, "head.log_softmax is false"),
        ({"len_pen": -0.6}, "len_pen is -0.6; supported are 0 to 100"),
        ({"len_pen": 101}, "len_pen is 101; supported are 0 to 100"),
        ({"sentencepiece_model": "ja.model"}, "sentencepiece_model is 'ja.model', a second tokenizer"),
        ({"src_language": ["de"]}, "src_language is a list, but multilingual is false"),
        ({"multilingual": True}, "multilingual is true, but neither"),
        (
            {"multilingual": True, "src_language": ["a"], "tgt_language": ["b"]},
            "both lists, which NeMo refuses too",
        ),
        (
            {"multilingual": True, "tgt_language": ["a"]},
            "multilingual is true with encoder_tokenizer.library 'yttm'",
        ),
    ],
)
def test_unsupported_options(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UnsupportedModelError, match=f"this model is not supported: .*{told}"):
        parse(config(extra=changes))


def test_all_unsupported_options_are_told_at_once() -> None:
    changes = {
        "target": "x",
        "encoder.library": "huggingface",
        "decoder.arch": "seq2seq",
        "encoder.hidden_act": "elu",
        "decoder_tokenizer.library": "char",
        "head.log_softmax": False,
        "len_pen": -1,
        "beam_size": "many",
    }
    with pytest.raises(UnsupportedModelError) as caught:
        parse(config(extra=changes))
    for word in ("target", "huggingface", "seq2seq", "elu", "char", "log_softmax", "len_pen", "beam_size is 'many'"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoder.hidden_size": "512"}, "encoder.hidden_size is '512'; expected an integer from 1 to 16384"),
        ({"encoder.num_layers": 0}, "encoder.num_layers is 0; expected an integer from 1"),
        ({"encoder.num_layers": 10**12}, "encoder.num_layers is 1000000000000"),
        ({"decoder.inner_size": None}, "decoder.inner_size is missing"),
        ({"decoder.num_attention_heads": True}, "decoder.num_attention_heads is True"),
        ({"encoder.pre_ln": "yes"}, "encoder.pre_ln is 'yes'; expected true or false"),
        ({"len_pen": float("nan")}, "len_pen is nan; expected a number"),
        ({"beam_size": 0}, "beam_size is 0; expected an integer from 1"),
        ({"max_generation_delta": 1.5}, "max_generation_delta is 1.5; expected an integer"),
        ({"src_language": ["de", 3]}, "src_language is a list; expected a language"),
        ({"decoder": [1]}, "decoder is a list; expected a section"),
        ({"encoder_tokenizer": None}, "encoder_tokenizer is missing; expected a section"),
        ({"encoder.hidden_size": "${model.hidden}"}, r"encoder.hidden_size is '\$\{model.hidden\}'"),
        ({"nemo_version": 1.23}, "nemo_version is 1.23; expected a string"),
    ],
)
def test_values_that_no_model_has(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ArchiveError, match=f"model_config.yaml: .*{told}"):
        parse(config(extra=changes))


@pytest.mark.parametrize("key", ["hidden_size", "num_layers", "inner_size", "num_attention_heads"])
def test_sizes_are_required(key: str) -> None:
    with pytest.raises(ArchiveError, match=f"encoder.{key} is missing"):
        parse(without("encoder", key))


@pytest.mark.parametrize(
    "data",
    [
        b"a: [",
        b"\xff\xfe\xff",
        b"a: &a [*a, *b]",
        b"a: !!python/object/apply:os.system ['true']",
        b"!!python/name:os.system",
        b"- 1",
        b"",
        b"%YAML 3.0\n---\na",
        b"[" * 5000,
        b"{" * 2000,
        b"? {a: b}\n: c",
        b"a: 2001-99-99",
        b"a: 0b\n",
        b"x: 1_0:99:99999999999999",
        b"<<: 3",
        b"a: !!int ''",
        b"a: !!float '-'",
    ],
)
def test_other_content_is_refused(data: bytes) -> None:
    with pytest.raises(Error, match="model"):
        parse_nemo_config(data)


def test_an_alias_bomb_does_no_harm() -> None:
    lines = [
        "a0: &a0 [x, x]",
        *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)),
        "encoder: *a59",
    ]
    with pytest.raises(UnsupportedModelError, match="encoder is a list; expected a section"):
        parse_nemo_config("\n".join(lines).encode())


def test_merge_keys_are_refused_before_they_grow() -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60))]
    with pytest.raises(ArchiveError, match=r"merge keys \(<<\) are not supported"):
        parse_nemo_config("\n".join(lines).encode())


@pytest.mark.parametrize("key", ["len_pen", "beam_size"])
def test_integers_of_any_size_are_told(key: str) -> None:
    data = PLAIN + f"\n{key}: 0x{'f' * 5000}\n".encode()
    with pytest.raises(ArchiveError, match=f"{key} is an integer of 20000 bits; expected"):
        parse_nemo_config(data)


PLAIN = yaml.safe_dump(config()).encode()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damage_is_one_of_our_errors_or_harmless(data: st.DataObject) -> None:
    content = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Error):
        parse_nemo_config(bytes(content))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(config())),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_any_value_anywhere_is_one_of_our_errors_or_harmless(changes: dict[str, Any]) -> None:
    with contextlib.suppress(Error):
        parse(config() | changes)
