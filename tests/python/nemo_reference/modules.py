"""Random translation models made of the real NeMo's modules.

    model = random_nemo_model(seed=1, pre_ln=True)
    model.state_dict()                               # NeMo's checkpoint names
    model.beam_search(source_ids, beam_size=4)       # NeMo's own search

Shapes: B sentences, S source tokens, T target tokens, H hidden, V target vocabulary, K beam size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nemo_reference.loader import nemo_classes


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What a random model looks like; the names are NeMo's.

    Attributes:
        pre_ln_final_layer_norm: makes a final LayerNorm only together with `pre_ln`.
        tied_output: False gives the output projection weights of its own, which NeMo itself never does.
        special_tokens: ids of unk, pad, bos, eos, in both vocabularies.
    """

    hidden_size: int = 32
    num_attention_heads: int = 4
    encoder_layers: int = 2
    decoder_layers: int = 2
    encoder_inner_size: int = 64
    decoder_inner_size: int = 64
    source_vocab_size: int = 40
    target_vocab_size: int = 40
    max_sequence_length: int = 32
    pre_ln: bool = False
    pre_ln_final_layer_norm: bool = False
    learn_positional_encodings: bool = False
    hidden_act: Literal["relu", "gelu"] = "relu"
    mask_future: bool = False
    shared_embeddings: bool = False
    tied_output: bool = True
    special_tokens: tuple[int, int, int, int] = (1, 0, 2, 3)

    @property
    def pad(self) -> int:
        """Padding id."""
        return self.special_tokens[1]

    @property
    def bos(self) -> int:
        """Start id."""
        return self.special_tokens[2]

    @property
    def eos(self) -> int:
        """End id."""
        return self.special_tokens[3]


class NemoBeams(NamedTuple):
    """What NeMo's beam search returns.

    Attributes:
        tokens: int64 [B,K,T], BOS first, padded with PAD after the end.
        scores: float32 [B,K], raw: sums of log-probabilities as NeMo carries them.
        best: int64 [B,T], the hypothesis that NeMo chooses.
        margin: the least difference between neighbours among the candidates that were kept, and the next one.
            Below 1e-5 or so the search is a matter of rounding.
    """

    tokens: Tensor
    scores: Tensor
    best: Tensor
    margin: float


class _Margins(TorchFunctionMode):
    """Watches torch.topk, by which NeMo's search decides everything but the last ranking."""

    def __init__(self) -> None:
        super().__init__()
        self.least = float("inf")

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.topk:
            values, size = args
            dim = (kwargs or {})["dim"]
            ranked = values.sort(dim, descending=True).values.narrow(dim, 0, min(size + 1, values.shape[dim]))
            self.least = min([self.least, *(-ranked.diff(dim=dim)).flatten().tolist()])
        return func(*args, **(kwargs or {}))


class _Side(nn.Module):
    """Embedding and layers of one side under NeMo's names: `_embedding` and `_encoder` or `_decoder`."""

    _encoder: Any
    _decoder: Any

    def __init__(self, architecture: Architecture, side: Literal["encoder", "decoder"]) -> None:
        super().__init__()
        classes, is_encoder = nemo_classes(), side == "encoder"
        self._embedding: Any = classes.embedding(
            vocab_size=architecture.source_vocab_size if is_encoder else architecture.target_vocab_size,
            hidden_size=architecture.hidden_size,
            max_sequence_length=architecture.max_sequence_length,
            learn_positional_encodings=architecture.learn_positional_encodings,
            padding_idx=architecture.pad,
        )
        options: dict[str, Any] = {"mask_future": architecture.mask_future} if is_encoder else {}
        layers = (classes.encoder if is_encoder else classes.decoder)(
            num_layers=architecture.encoder_layers if is_encoder else architecture.decoder_layers,
            hidden_size=architecture.hidden_size,
            inner_size=architecture.encoder_inner_size if is_encoder else architecture.decoder_inner_size,
            num_attention_heads=architecture.num_attention_heads,
            hidden_act=architecture.hidden_act,
            pre_ln=architecture.pre_ln,
            pre_ln_final_layer_norm=architecture.pre_ln_final_layer_norm,
            **options,
        )
        self.add_module(f"_{side}", layers)


class _Classifier(nn.Module):
    """NeMo's TokenClassifier in eval mode: its `mlp`, called by keyword."""

    def __init__(self, hidden_size: int, vocab_size: int) -> None:
        super().__init__()
        self.mlp = nemo_classes().classifier_layers(hidden_size, vocab_size, num_layers=1, log_softmax=True)

    def forward(self, hidden_states: Tensor) -> Tensor:
        log_probs: Tensor = self.mlp(hidden_states)
        return log_probs


class NemoModel(nn.Module):
    """A translation model of NeMo's modules, laid out as MTEncDecModel is."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = _Side(architecture, "encoder")
        self.decoder = _Side(architecture, "decoder")
        self.log_softmax = _Classifier(architecture.hidden_size, architecture.target_vocab_size)
        table = self.decoder._embedding.token_embedding
        if architecture.tied_output:
            self.log_softmax.mlp.layer0.weight = table.weight
        if architecture.shared_embeddings:
            self.encoder._embedding.token_embedding.weight = table.weight
        self.eval()

    def checkpoint(self) -> OrderedDict[str, Tensor]:
        """The state dict that NeMo saves; tied weights share storage."""
        return OrderedDict((name, tensor.detach()) for name, tensor in self.state_dict(keep_vars=True).items())

    def source_mask(self, source_ids: Tensor) -> Tensor:
        """Float [B,S], 1 for real tokens: everything but PAD, as NeMo's `prepare_inference_batch` says."""
        return (source_ids != self.architecture.pad).float()

    @torch.no_grad()
    def encode(self, source_ids: Tensor) -> Tensor:
        """Encode int64 [B,S], right-padded with PAD, into [B,S,H]."""
        states: Tensor = self.encoder._encoder(self.encoder._embedding(source_ids), self.source_mask(source_ids))
        return states

    @torch.no_grad()
    def teacher_forced(self, source_ids: Tensor, target_ids: Tensor) -> Tensor:
        """Log-probabilities [B,T,V] of the token after each prefix of int64 `target_ids` [B,T] without PAD."""
        states = self.decoder._decoder(
            self.decoder._embedding(target_ids),
            torch.ones_like(target_ids, dtype=torch.float32),
            self.encode(source_ids),
            self.source_mask(source_ids),
        )
        log_probs: Tensor = self.log_softmax(hidden_states=states)
        return log_probs

    @torch.no_grad()
    def beam_search(
        self, source_ids: Tensor, *, beam_size: int, length_penalty: float = 0.6, max_length_delta: int = 50
    ) -> NemoBeams:
        """Search with NeMo's BeamSearchSequenceGenerator; `source_ids` is int64 [B,S], padded on the right."""
        tokens = self.architecture
        search = nemo_classes().beam_search(
            embedding=self.decoder._embedding,
            decoder=self.decoder._decoder,
            log_softmax=self.log_softmax,
            max_sequence_length=tokens.max_sequence_length,
            beam_size=beam_size,
            bos=tokens.bos,
            pad=tokens.pad,
            eos=tokens.eos,
            len_pen=length_penalty,
            max_delta_length=max_length_delta,
        )
        states, mask, batch = self.encode(source_ids), self.source_mask(source_ids), source_ids.shape[0]
        with _Margins() as margins:
            prefixes, scores, best = search(
                encoder_hidden_states=states, encoder_input_mask=mask, return_beam_scores=True
            )
        self.eval()  # the generator leaves its modules in training mode
        return NemoBeams(prefixes.view(batch, beam_size, -1), scores.view(batch, beam_size), best, margins.least)


@torch.no_grad()
def ensemble_beam_search(
    models: Sequence[NemoModel],
    source_ids: Tensor,
    *,
    beam_size: int,
    length_penalty: float,
    max_length_delta: int,
) -> NemoBeams:
    """Search with NeMo's EnsembleBeamSearchSequenceGenerator; arguments as of NemoModel.beam_search."""
    first = models[0]
    search = nemo_classes().ensemble_search(
        encoders=[_Encoder(model) for model in models],
        embeddings=[model.decoder._embedding for model in models],
        decoders=[model.decoder._decoder for model in models],
        log_softmaxes=[model.log_softmax for model in models],
        max_sequence_length=min(model.architecture.max_sequence_length for model in models),
        beam_size=beam_size,
        bos=first.architecture.bos,
        pad=first.architecture.pad,
        eos=first.architecture.eos,
        len_pen=length_penalty,
        max_delta_length=max_length_delta,
    )
    with _Margins() as margins:
        prefixes, scores, best = search(source_ids, first.source_mask(source_ids), return_beam_scores=True)
    for model in models:
        model.eval()  # the generator leaves its modules in training mode
    batch = source_ids.shape[0]
    return NemoBeams(prefixes.view(batch, beam_size, -1), scores.view(batch, beam_size), best, margins.least)


class _Encoder(nn.Module):
    """NeMo's TransformerEncoderNM: embedding and layers, called by keyword."""

    def __init__(self, model: NemoModel) -> None:
        super().__init__()
        self.side = model.encoder

    def forward(self, input_ids: Tensor, encoder_mask: Tensor) -> Tensor:
        states: Tensor = self.side._encoder(self.side._embedding(input_ids), encoder_mask)
        return states


def random_nemo_model(seed: int, architecture: Architecture | None = None, **options: Any) -> NemoModel:
    """A model with weights drawn so that what it generates is diverse; `options` are Architecture's fields.

    Plain random models repeat one token for ever, whatever the source. Here token tables are small beside the
    positions, attention is sharp, LayerNorms flip the signs of half their inputs and the last one spreads the
    logits, which makes near-ties rare. The biases of the special tokens make hypotheses end at many lengths,
    sometimes at once, and generate PAD and BOS now and then.
    """
    model = NemoModel(architecture or Architecture(**options))
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            _fill(name, parameter, draw)
        _last_norm(model).weight.mul_(5.0)
        bias = model.log_softmax.mlp.layer0.bias
        specials = torch.tensor(model.architecture.special_tokens[1:])
        bias[specials] += torch.randn(3, generator=draw) + torch.tensor([0.0, 0.0, 2.5])
    return model.requires_grad_(False)


GAINS = {
    "token_embedding": 0.5,
    "position_embedding": 1.0,
    "query_net": 3.0,
    "key_net": 3.0,
    "value_net": 0.7,
    "out_projection": 0.7,
    "dense": 0.7,
    "layer0": 2.5,
    "token_type_embedding": 1.0,
}
"""Standard deviation of a matrix's entries, in units of 1 / sqrt(columns)."""


def _fill(name: str, parameter: Tensor, draw: torch.Generator) -> None:
    """Fill one parameter by what it is."""
    values = torch.randn(parameter.shape, generator=draw)
    if "layer_norm" in name:
        values *= 0.2
        if name.endswith("weight"):
            values += torch.randint(0, 2, parameter.shape, generator=draw) * 2 - 1
    elif name.endswith("bias"):
        values *= 0.1
    else:
        (gain,) = (gain for part, gain in GAINS.items() if part in name)
        values *= gain * parameter.shape[-1] ** -0.5
    parameter.copy_(values)


def _last_norm(model: NemoModel) -> nn.LayerNorm:
    """The LayerNorm that the logits depend on most directly."""
    layers = model.decoder._decoder
    norm = layers.final_layer_norm if layers.final_layer_norm is not None else layers.layers[-1].layer_norm_3
    assert isinstance(norm, nn.LayerNorm)
    return norm
