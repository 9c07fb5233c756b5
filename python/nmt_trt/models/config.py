"""What a Transformer translation model is: the configuration kept in a model directory's config.json."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
TokenId = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StackConfig(_Frozen):
    """One side of the model: embedding, layers and the optional final norm."""

    hidden_size: PositiveInt
    num_layers: PositiveInt
    inner_size: PositiveInt
    num_heads: PositiveInt
    vocab_size: PositiveInt
    max_positions: PositiveInt
    learned_positions: bool = False
    activation: Literal["relu", "gelu", "swish"] = "relu"
    """gelu is the exact (erf) form; swish is x * sigmoid(x)."""
    pre_norm: bool = False
    final_norm: bool = False
    embedding_norm: bool = True
    """Whether a LayerNorm follows the sum of token and position."""
    scale_embeddings: bool = False
    """Whether token embeddings are multiplied by sqrt(hidden_size) before positions are added."""

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def attention_layer(self) -> int:
        """The layer whose cross-attention says what a generated token translates: docs/alignment.md."""
        return self.num_layers - 1

    @model_validator(mode="after")
    def _heads_divide_hidden(self) -> StackConfig:
        if self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}")
        return self


class SpecialTokens(_Frozen):
    """Special token ids of the decoder's vocabulary; `start` begins every target."""

    pad: TokenId
    eos: TokenId
    start: TokenId


class SourceTokens(_Frozen):
    """Special token ids of the encoder's vocabulary that frame a source: prepend + bos, if any, + ids + eos."""

    pad: TokenId
    bos: TokenId | None
    eos: TokenId
    prepend: tuple[TokenId, ...] = ()


class VocabularyConfig(_Frozen):
    """A vocabulary apart from the tokenizer's model: a JSON file of ids by piece, and its special pieces."""

    file: str
    unk: str = "<unk>"
    eos: str = "</s>"
    pad: str = "<pad>"
    special: tuple[str, ...] = ()
    """Further pieces, of languages for one, that are found in a text as those above are, and leave no trace in one."""
    language_prefix: bool = True
    """Whether `>>xxx<<` at the beginning of a text is one token, as in Marian's models."""


class TokenizerConfig(_Frozen):
    """A tokenizer: its kind, its files inside the model directory (none for bytes) and its options."""

    kind: Literal["yttm", "sentencepiece", "byte-level", "sentencepiece-vocabulary"]
    file: str | None = None
    vocabulary: VocabularyConfig | None = None
    """The kind "sentencepiece-vocabulary" only: gives the ids of SentencePiece's pieces."""
    right_to_left: bool = False
    legacy: bool = False
    """SentencePiece only: NeMo's `sentencepiece_legacy`, which adds NeMo's special tokens after the model's pieces."""
    added_tokens: tuple[str, ...] = ()
    """With `legacy`: further tokens, of languages, added after those."""

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all its files."""
        vocabulary = None if self.vocabulary is None else self.vocabulary.file
        return tuple(name for name in (self.file, vocabulary) if name is not None)

    @model_validator(mode="after")
    def _has_a_vocabulary(self) -> TokenizerConfig:
        if (self.vocabulary is not None) != (self.kind == "sentencepiece-vocabulary"):
            raise ValueError(
                f"a tokenizer of the kind {self.kind} {'needs' if self.vocabulary is None else 'has no'} "
                "vocabulary of its own"
            )
        return self


class TextConfig(_Frozen):
    """How text becomes source ids and target ids become text."""

    source_language: str | None = None
    target_language: str | None = None
    source_languages: tuple[str, ...] = ()
    """Those of a model with several, one of which must be chosen unless `source_language` is."""
    target_languages: tuple[str, ...] = ()
    """Those of a model with several, one of which must be chosen unless `target_language` is."""
    language_tokens: dict[str, TokenId] = {}
    """Ids that stand before BOS by language: the source language's if it is here, else the target language's."""
    language_last: bool = False
    """Whether such an id stands behind EOS instead."""
    target_token: Literal["none", "first", "start"] = "none"
    """What the target language's id in `language_tokens` is: nothing, the first token that is generated, or the start
    token."""
    inline_languages: bool = False
    """Whether a text may begin with a language's token itself, so that a language need not be chosen."""
    source_tokenizer: TokenizerConfig
    target_tokenizer: TokenizerConfig


class HfDefaults(_Frozen):
    """What transformers' generate() does with the checkpoint when told nothing else, by the names of our options."""

    beam_size: PositiveInt = 1
    length_penalty: float = 1.0
    max_length: PositiveInt = 20
    early_stopping: bool | Literal["never"] = False
    min_length: Annotated[int, Field(ge=0)] = 0
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    no_repeat_ngram: Annotated[int, Field(ge=0)] = 0
    forced_bos: Annotated[int, Field(ge=-1)] = -1
    forced_eos: Annotated[int, Field(ge=-1)] = -1
    bad_words: tuple[Annotated[tuple[TokenId, ...], Field(min_length=1)], ...] = ()
    suppress_tokens: tuple[TokenId, ...] = ()


class GenerationDefaults(_Frozen):
    """Search settings that the checkpoint was published with."""

    beam_size: Annotated[int, Field(ge=1)] = 4
    length_penalty: float = 0.6
    max_length_delta: int = 50
    forced_bos: Annotated[int, Field(ge=-1)] = -1
    """The first generated token; -1 for none. A multilingual model's target language may be one."""
    hf: HfDefaults | None = None
    """For policy hf, in place of those above that it has; None where the checkpoint is not of transformers."""


class Provenance(_Frozen):
    """Where the model came from."""

    format: Literal["nemo", "marian", "m2m_100", "mbart"]
    file: str
    sha256: str
    """Of the archive, or of the file of the weights; several such files count as one."""
    version: str | None = None


class TransformerConfig(_Frozen):
    """A whole encoder-decoder model; see docs/model-directory.md for the file it is kept in."""

    format_version: Literal[1] = 1
    encoder: StackConfig
    decoder: StackConfig
    special_tokens: SpecialTokens
    source_tokens: SourceTokens
    causal_encoder: bool = False
    """Whether a source position sees only the positions up to itself (NeMo's encoder `mask_future`)."""
    shared_embeddings: bool = False
    tied_output: bool = True
    norm_epsilon: float = 1e-5
    generation: GenerationDefaults = GenerationDefaults()
    text: TextConfig | None = None
    """None for a checkpoint without tokenizers: such a model generates from ids but cannot translate text."""
    provenance: Provenance | None = None

    @model_validator(mode="after")
    def _sides_agree(self) -> TransformerConfig:
        if self.encoder.hidden_size != self.decoder.hidden_size:
            raise ValueError(
                f"encoder hidden_size {self.encoder.hidden_size} differs from the decoder's {self.decoder.hidden_size}"
            )
        vocabulary = self.decoder.vocab_size
        for name, token in (
            ("pad", self.special_tokens.pad),
            ("eos", self.special_tokens.eos),
            ("start", self.special_tokens.start),
        ):
            if token >= vocabulary:
                raise ValueError(f"special token {name}={token} is outside the target vocabulary of {vocabulary}")
        return self
