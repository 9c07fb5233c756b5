"""Small random archives laid out as NeMo writes them, over every option that the importer reads.

archive = write_random_nemo(tmp_path / "model.nemo", seed=1, pre_ln=True)
archive.path, archive.state, archive.config
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import tarfile
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from importing.tokenizer_files import sentencepiece_model, yttm_model

State = OrderedDict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class NemoOptions:
    """What to write. The defaults give a small post-norm model with one shared YTTM tokenizer.

    Attributes:
        final_norm: NeMo's `pre_ln_final_layer_norm`; only with `pre_ln` does it make weights.
        mask_future: None leaves the key out of the configuration.
        tied: False gives the output projection weights of its own, which NeMo itself never does.
        vocab_size: only for tokenizer "none"; otherwise the tokenizer decides.
        specials: ids of unk, pad, bos, eos; None takes the library's usual ones.
        tokenizer_reference: how the configuration names the file: "nemo:<member>", or as rc1 did, a path.
        extra: keys merged into the top level of the configuration, dotted names reaching inside.
    """

    hidden_size: int = 16
    num_attention_heads: int = 2
    inner_size: int = 32
    encoder_layers: int = 2
    decoder_layers: int = 2
    max_sequence_length: int = 48
    pre_ln: bool = False
    final_norm: bool = False
    learned_positions: bool = False
    hidden_act: str = "relu"
    shared_embeddings: bool = False
    tied: bool = True
    mask_future: bool | None = None
    num_token_types: int = 2
    dtype: torch.dtype = torch.float32
    save_positions: bool = True
    tokenizer: Literal["yttm", "sentencepiece", "byte-level", "none"] = "yttm"
    shared_tokenizer: bool = True
    specials: tuple[int, int, int, int] | None = None
    legacy: bool = False
    r2l: bool = False
    user_symbols: tuple[str, ...] = ()
    vocab_size: int = 40
    src_language: str | list[str] | None = "en"
    tgt_language: str | list[str] | None = "de"
    multilingual: bool = False
    beam_size: int = 4
    len_pen: float = 0.6
    max_generation_delta: int = 5
    nemo_version: str | None = "1.23.0"
    compression: Literal["tar", "gz"] = "tar"
    prefix: str = "./"
    tokenizer_reference: Literal["nemo", "path"] = "nemo"
    library_key: Literal["library", "tokenizer_name"] = "library"
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NemoArchive:
    """What was written: NeMo's configuration and state dict, and the tokenizer files by member name."""

    path: Path
    options: NemoOptions
    config: dict[str, Any]
    state: State
    tokenizer_files: dict[str, bytes]


def write_random_nemo(path: Path, *, seed: int = 0, **options: Any) -> NemoArchive:
    """Write a `.nemo` archive with random weights; `options` are the fields of NemoOptions."""
    chosen = NemoOptions(**options)
    source, target, source_size, target_size = _tokenizers(chosen)
    files = {member: data for member, data in (source, target) if member}
    config = nemo_config(chosen, source[0], target[0])
    state = random_state(chosen, source_size, target_size, seed)
    write_nemo(path, config, state, files, prefix=chosen.prefix, compression=chosen.compression)
    return NemoArchive(path, chosen, config, state, files)


def write_nemo(
    path: Path,
    config: dict[str, Any],
    state: object,
    tokenizer_files: dict[str, bytes],
    *,
    prefix: str = "./",
    compression: str = "tar",
) -> None:
    """Write an archive with exactly these parts."""
    members = {"model_config.yaml": yaml.safe_dump(config, sort_keys=False).encode(), **tokenizer_files}
    members["model_weights.ckpt"] = checkpoint_bytes(state)
    write_tar(path, members, prefix=prefix, compression=compression)


def checkpoint_bytes(value: object, *, zip_format: bool = True) -> bytes:
    """What torch.save writes for `value`."""
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=zip_format)
    return out.getvalue()


def write_tar(path: Path, members: dict[str, bytes], *, prefix: str = "./", compression: str = "tar") -> None:
    """Write members as NeMo does: a directory entry for `./` first, then the files."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        if prefix:
            root = tarfile.TarInfo(prefix.rstrip("/"))
            root.type = tarfile.DIRTYPE
            tar.addfile(root)
        for name, data in members.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(data)
            info.mtime = 1700000000.25  # a fraction makes a pax header, as gettarinfo's does
            tar.addfile(info, io.BytesIO(data))
    content = plain.getvalue()
    path.write_bytes(gzip.compress(content, 1) if compression == "gz" else content)


def random_state(options: NemoOptions, source_size: int, target_size: int, seed: int) -> State:
    """A state dict with NeMo's names, in NeMo's order; tied weights share storage."""
    weights = _Random(options, seed)
    weights.side("encoder", source_size, options.encoder_layers, ["attention", "ffn"])
    weights.side("decoder", target_size, options.decoder_layers, ["attention", "attention", "ffn"])
    state = weights.state
    source, target = (f"{side}._embedding.token_embedding.weight" for side in ("encoder", "decoder"))
    if options.shared_embeddings:
        state[source] = state[target]
    head = "log_softmax.mlp.layer0"
    state[f"{head}.weight"] = state[target] if options.tied else weights.normal(target_size, options.hidden_size)
    state[f"{head}.bias"] = weights.normal(target_size, scale=0.3)
    return state


class _Random:
    """Fills a state dict; scales are such that activations stay of order one."""

    def __init__(self, options: NemoOptions, seed: int) -> None:
        self.options = options
        self.generator = torch.Generator().manual_seed(seed)
        self.state: State = OrderedDict()

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> torch.Tensor:
        values = torch.randn(*shape, generator=self.generator) * scale + mean
        return values.to(self.options.dtype)

    def linear(self, name: str, out_size: int, in_size: int) -> None:
        self.state[f"{name}.weight"] = self.normal(out_size, in_size, scale=in_size**-0.5)
        self.state[f"{name}.bias"] = self.normal(out_size, scale=0.1)

    def norm(self, name: str) -> None:
        self.state[f"{name}.weight"] = self.normal(self.options.hidden_size, scale=0.1, mean=1.0)
        self.state[f"{name}.bias"] = self.normal(self.options.hidden_size, scale=0.1)

    def side(self, side: str, vocab_size: int, layers: int, blocks: list[str]) -> None:
        hidden, inner = self.options.hidden_size, self.options.inner_size
        self._embedding(f"{side}._embedding", vocab_size)
        for layer in range(layers):
            for number, block in enumerate(blocks):
                prefix = f"{side}._{side}.layers.{layer}"
                self.norm(f"{prefix}.layer_norm_{number + 1}")
                name = f"{prefix}.{('first', 'second', 'third')[number]}_sub_layer"
                if block == "attention":
                    for part in ("query_net", "key_net", "value_net", "out_projection"):
                        self.linear(f"{name}.{part}", hidden, hidden)
                else:
                    self.linear(f"{name}.dense_in", inner, hidden)
                    self.linear(f"{name}.dense_out", hidden, inner)
        if self.options.pre_ln and self.options.final_norm:
            self.norm(f"{side}._{side}.final_layer_norm")

    def _embedding(self, name: str, vocab_size: int) -> None:
        options, state = self.options, self.state
        state[f"{name}.token_embedding.weight"] = self.normal(vocab_size, options.hidden_size)
        if options.learned_positions:
            learned = self.normal(options.max_sequence_length, options.hidden_size, scale=0.3)
            state[f"{name}.position_embedding.weight"] = learned
        elif options.save_positions:
            table = sinusoids(options.max_sequence_length, options.hidden_size)
            state[f"{name}.position_embedding.pos_enc"] = table.to(options.dtype)
        if options.num_token_types:
            types = self.normal(options.num_token_types, options.hidden_size)
            state[f"{name}.token_type_embedding.weight"] = types
        self.norm(f"{name}.layer_norm")


def sinusoids(length: int, hidden_size: int) -> torch.Tensor:
    """The position table that NeMo computes, float32 [length, hidden_size]."""
    angles = torch.arange(length).float()[:, None] * torch.exp(
        torch.arange(0, hidden_size, 2).float() * (-math.log(10000.0) / hidden_size)
    )
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(length, hidden_size) / math.sqrt(hidden_size)


def nemo_config(options: NemoOptions, source_member: str, target_member: str) -> dict[str, Any]:
    """NeMo's model_config.yaml for these options."""
    encoder = _side_config(options, options.encoder_layers)
    if options.mask_future is not None:
        encoder["mask_future"] = options.mask_future
    config: dict[str, Any] = {
        "target": "nemo.collections.nlp.models.machine_translation.mt_enc_dec_model.MTEncDecModel",
        "nemo_version": options.nemo_version,
        "beam_size": options.beam_size,
        "len_pen": options.len_pen,
        "max_generation_delta": options.max_generation_delta,
        "src_language": options.src_language,
        "tgt_language": options.tgt_language,
        "multilingual": options.multilingual,
        "shared_embeddings": options.shared_embeddings,
        "shared_tokenizer": options.shared_tokenizer,
        "encoder_tokenizer": _tokenizer_config(options, source_member),
        "decoder_tokenizer": _tokenizer_config(options, target_member),
        "encoder": encoder,
        "decoder": _side_config(options, options.decoder_layers),
        "head": {
            "num_layers": 2,
            "activation": "relu",
            "log_softmax": True,
            "dropout": 0.1,
            "use_transformer_init": True,
        },
    }
    if options.nemo_version is None:
        del config["nemo_version"]
    for name, value in options.extra.items():
        *outer, last = name.split(".")
        section = config
        for key in outer:
            section = section[key]
        section[last] = value
    return config


def _side_config(options: NemoOptions, layers: int) -> dict[str, Any]:
    return {
        "library": "nemo",
        "model_name": None,
        "pretrained": False,
        "hidden_size": options.hidden_size,
        "num_layers": layers,
        "inner_size": options.inner_size,
        "num_attention_heads": options.num_attention_heads,
        "max_sequence_length": options.max_sequence_length,
        "num_token_types": options.num_token_types,
        "embedding_dropout": 0.1,
        "learn_positional_encodings": options.learned_positions,
        "ffn_dropout": 0.1,
        "attn_score_dropout": 0.1,
        "attn_layer_dropout": 0.1,
        "hidden_act": options.hidden_act,
        "pre_ln": options.pre_ln,
        "pre_ln_final_layer_norm": options.final_norm,
    }


def _tokenizer_config(options: NemoOptions, member: str) -> dict[str, Any]:
    model = None
    if member:
        model = f"nemo:{member}" if options.tokenizer_reference == "nemo" else f"/workspace/data/{member}"
    library = "yttm" if options.tokenizer == "none" else options.tokenizer
    return {
        options.library_key: library,
        "tokenizer_model": model,
        "vocab_size": None,
        "bpe_dropout": None,
        "vocab_file": None,
        "special_tokens": None,
        "r2l": options.r2l,
        "sentencepiece_legacy": options.legacy,
    }


def _tokenizers(options: NemoOptions) -> tuple[tuple[str, bytes], tuple[str, bytes], int, int]:
    """((member, bytes) of the source, of the target, source vocabulary, target vocabulary)."""
    if options.tokenizer in ("byte-level", "none"):
        size = 259 if options.tokenizer == "byte-level" else options.vocab_size
        return ("", b""), ("", b""), size, size
    source, source_size = _trained(options, 0)
    target, target_size = _trained(options, 0 if options.shared_tokenizer else 1)
    members = [_member(options, "encoder", source), _member(options, "decoder", target)]
    return (members[0], source), (members[1], target), source_size, target_size


def _member(options: NemoOptions, side: str, data: bytes) -> str:
    """The member's name: a shared file has two, for NeMo stores one for each side; rc1 stored it once."""
    name = "tokenizer.model" if options.shared_tokenizer else f"tokenizer.{side}.model"
    if options.tokenizer_reference == "path":
        return name
    return f"{hashlib.md5(side.encode() + data).hexdigest()}_{name}"


def _trained(options: NemoOptions, number: int) -> tuple[bytes, int]:
    """One tokenizer model and NeMo's vocabulary size for it."""
    if options.tokenizer == "yttm":
        data = yttm_model(60 + 11 * number, options.specials or (1, 0, 2, 3))
        characters, rules = map(int, data.split()[:2])
        return data, characters + rules + sum(special != -1 for special in options.specials or (1, 0, 2, 3))
    import sentencepiece

    specials = options.specials or (0, 3, 1, 2)
    data = sentencepiece_model(96 + 7 * number, specials, options.user_symbols)
    size = sentencepiece.SentencePieceProcessor(model_proto=data).get_piece_size()
    if options.legacy:  # NeMo appends pad, bos and eos when missing, the last two also when their id is 0
        size += (specials[1] < 0) + (specials[2] <= 0) + (specials[3] <= 0)
        if options.multilingual and isinstance(options.tgt_language, list):
            size += len(options.tgt_language)
    return data, size
