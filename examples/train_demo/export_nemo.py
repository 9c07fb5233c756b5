"""Pack the averaged weights of train.py and the SentencePiece model into a `.nemo` archive, as NeMo 1.23 reads it.

    python export_nemo.py --run OUT --tokenizer .data/train/spm.model --out demo-en-de.nemo

The archive depends on nothing but its inputs and the version of torch: no times, no user names. Weights are fp16; the
one sinusoidal table that both sides share stays fp32.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.models.nemo_weights import nemo_names
from nmt_trt.models.positions import sinusoidal_positions
from recipe import LABEL_SMOOTHING

NEMO_VERSION = "1.23.0"
MAX_BYTES = 28_000_000
"""The archive is part of the package."""
LENGTH_PENALTY = 1.5
"""The best of 0.6, 1.0 and 1.5 by BLEU on the development set."""
TIME = 1_700_000_000
"""Modification time of every member, seconds since the epoch; any constant will do."""


def read_weights(run: Path) -> dict[str, Tensor]:
    """The canonical weights that train.py wrote, in all of its parts."""
    parts = sorted(run.glob("ema-*.safetensors"))
    if not parts:
        raise SystemExit(f"{run}: expected the ema-*.safetensors of train.py, found none")
    return {name: tensor for part in parts for name, tensor in load_file(part).items()}


def nemo_state(weights: dict[str, Tensor], config: TransformerConfig) -> OrderedDict[str, Tensor]:
    """NeMo's state dict of a model whose sides share one token table and one kind of position table.

    Fused projections are split into their parts. The token table is saved under its three names and the position table
    under its two, each with one storage.
    """
    table = torch.from_numpy(sinusoidal_positions(config.encoder.max_positions, config.encoder.hidden_size))
    state: OrderedDict[str, Tensor] = OrderedDict()
    for name, tensor in weights.items():
        parts = nemo_names(name, learned_positions=False)
        if name.endswith("embedding.position.weight"):
            state[parts[0]] = table
            continue
        for part, rows in zip(parts, tensor.chunk(len(parts)), strict=True):
            state[part] = rows.clone()
    tokens = state["encoder._embedding.token_embedding.weight"]
    state["decoder._embedding.token_embedding.weight"] = tokens
    state["log_softmax.mlp.layer0.weight"] = tokens
    return OrderedDict(sorted(state.items()))


def stack_section(stack: StackConfig) -> dict[str, Any]:
    """NeMo's section of one side; the dropout rates matter to training only."""
    return {
        "library": "nemo",
        "model_name": None,
        "pretrained": False,
        "max_sequence_length": stack.max_positions,
        "num_token_types": 0,
        "embedding_dropout": 0.2,
        "learn_positional_encodings": stack.learned_positions,
        "hidden_size": stack.hidden_size,
        "num_layers": stack.num_layers,
        "inner_size": stack.inner_size,
        "num_attention_heads": stack.num_heads,
        "ffn_dropout": 0.1,
        "attn_score_dropout": 0.1,
        "attn_layer_dropout": 0.2,
        "hidden_act": stack.activation,
        "pre_ln": stack.pre_norm,
        "pre_ln_final_layer_norm": stack.final_norm,
    }


def nemo_config(config: TransformerConfig, tokenizer: str, length_penalty: float) -> dict[str, Any]:
    """NeMo's model_config.yaml; `tokenizer` is the name of a member of the archive."""
    section = {"library": "sentencepiece", "tokenizer_model": f"nemo:{tokenizer}", "vocab_file": None}
    return {
        "target": "nemo.collections.nlp.models.machine_translation.mt_enc_dec_model.MTEncDecModel",
        "nemo_version": NEMO_VERSION,
        "src_language": "en",
        "tgt_language": "de",
        "multilingual": False,
        "beam_size": config.generation.beam_size,
        "len_pen": length_penalty,
        "max_generation_delta": config.generation.max_length_delta,
        "label_smoothing": LABEL_SMOOTHING,
        "shared_tokenizer": True,
        "shared_embeddings": config.shared_embeddings,
        "encoder_tokenizer": dict(section),
        "decoder_tokenizer": dict(section),
        "encoder": {**stack_section(config.encoder), "mask_future": config.causal_encoder},
        "decoder": stack_section(config.decoder),
        "head": {
            "num_layers": 1,
            "activation": "relu",
            "log_softmax": True,
            "dropout": 0.1,
            "use_transformer_init": True,
        },
    }


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    """Write a plain tar whose bytes depend on `members` only."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mtime, info.mode = len(content), TIME, 0o644
            tar.addfile(info, io.BytesIO(content))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="output folder of train.py")
    parser.add_argument("--tokenizer", type=Path, required=True, help="spm.model of prepare.py")
    parser.add_argument("--out", type=Path, required=True, help="the archive to write")
    parser.add_argument("--length-penalty", type=float, default=LENGTH_PENALTY)
    options = parser.parse_args()
    config = TransformerConfig.model_validate_json((options.run / "config.json").read_text("utf-8"))
    model = options.tokenizer.read_bytes()
    tokenizer = f"{hashlib.md5(model, usedforsecurity=False).hexdigest()}_tokenizer.model"
    settings = nemo_config(config, tokenizer, options.length_penalty)
    checkpoint = io.BytesIO()
    torch.save(nemo_state(read_weights(options.run), config), checkpoint)
    members = {
        "model_config.yaml": yaml.safe_dump(settings, sort_keys=False).encode(),
        tokenizer: model,
        "model_weights.ckpt": checkpoint.getvalue(),
    }
    write_archive(options.out, members)
    size = options.out.stat().st_size
    print(f"{options.out}: {size:,} bytes, SHA-256 {hashlib.sha256(options.out.read_bytes()).hexdigest()}")
    if size > MAX_BYTES:
        raise SystemExit(f"{options.out} is larger than the {MAX_BYTES:,} bytes that the package has room for")


if __name__ == "__main__":
    main()
