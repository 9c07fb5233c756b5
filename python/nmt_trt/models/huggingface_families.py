"""What the kinds of Hugging Face translation models differ in: the rest of their configuration is read the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nmt_trt.models.huggingface_files import Object


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of model, as transformers' code computes it.

    Attributes:
        model_type: what config.json calls it.
        architecture: transformers' class of it.
        pre_norm: whether LayerNorms stand before the blocks, with one behind the last block of each side.
        embedding_norm: whether one follows the sum of token and position.
        positions: "learned"; "sinusoidal": Marian's, which a checkpoint may hold; "fairseq": fairseq's sinusoidal ones,
            which are always computed.
        position_offset: rows of a checkpoint's table before the first position's.
        output_bias: whether the output has one.
        own_target_table: whether the target may have a vocabulary and a table of its own.
        multilingual: whether a first token that is forced names the target language.
        activation, vocabulary, scale_embedding, special: what an option or a special token is where nothing is said.
        old_search: what config.json says of a search where there is no generation_config.json.
    """

    model_type: Literal["marian", "m2m_100", "mbart"]
    architecture: str
    pre_norm: bool
    embedding_norm: bool
    positions: Literal["sinusoidal", "fairseq", "learned"]
    position_offset: int = 0
    output_bias: bool = True
    own_target_table: bool = False
    multilingual: bool = True
    activation: str
    vocabulary: int
    scale_embedding: bool = False
    special: Object
    old_search: Object = field(default_factory=dict)

    @property
    def fixed(self) -> Mapping[str, bool]:
        """Options that older configurations name, and the one value of each that the architecture computes."""
        return {
            "normalize_before": self.pre_norm,
            "normalize_embedding": self.embedding_norm,
            "add_final_layer_norm": self.pre_norm,
            "static_position_embeddings": self.positions != "learned",
            "is_encoder_decoder": True,
            "is_decoder": False,
        }


MARIAN = Family(
    model_type="marian",
    architecture="MarianMTModel",
    pre_norm=False,
    embedding_norm=False,
    positions="sinusoidal",
    own_target_table=True,
    multilingual=False,
    activation="gelu",
    vocabulary=58101,
    special={"pad_token_id": 58100, "eos_token_id": 0, "decoder_start_token_id": 58100},
    old_search={"forced_eos_token_id": 0},
)
M2M100 = Family(
    model_type="m2m_100",
    architecture="M2M100ForConditionalGeneration",
    pre_norm=True,
    embedding_norm=False,
    positions="fairseq",
    output_bias=False,
    activation="relu",
    vocabulary=128112,
    scale_embedding=True,
    special={"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2},
)
MBART = Family(
    model_type="mbart",
    architecture="MBartForConditionalGeneration",
    pre_norm=True,
    embedding_norm=True,
    positions="learned",
    position_offset=2,
    activation="gelu",
    vocabulary=50265,
    special={"pad_token_id": 1, "eos_token_id": 2, "bos_token_id": 0},
    old_search={"forced_eos_token_id": 2},
)
FAMILIES: Mapping[str, Family] = {family.model_type: family for family in (MARIAN, M2M100, MBART)}
