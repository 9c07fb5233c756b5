"""transformers' generate() that also tells how close its decisions were."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

REAL = -1e8
"""Scores below it stand for what is out of the running: transformers puts it at -1e9."""


@dataclass(frozen=True)
class Beams:
    """What generate() found.

    Attributes:
        sequences: int64 [B,N,T], the start token first.
        scores: [B,N], `sequences_scores`; of greedy search the sums of the chosen tokens' processed logits
            less the logarithms of the raw ones' sums of exponentials.
        margin: between the two closest things that were compared.
    """

    sequences: Tensor
    scores: Tensor
    margin: float


class Recorder:
    """A model whose generate() bans and forces nothing by default and notes its margins.

    Attributes:
        model: a translation model of transformers.
    """

    def __init__(self, model: Any) -> None:
        self.model: Any = model.requires_grad_(False)
        config: Any = self.model.config
        self.model.generation_config = GenerationConfig(
            pad_token_id=config.pad_token_id,
            eos_token_id=config.eos_token_id,
            decoder_start_token_id=config.decoder_start_token_id,
        )
        self.start, self.eos, self.pad = (
            int(number) for number in (config.decoder_start_token_id, config.eos_token_id, config.pad_token_id)
        )
        self.vocab_size = int(self.model.lm_head.out_features)
        self._margin = math.inf
        self._before("_get_top_k_continuations", self._note_candidates)
        self._before("_update_finished_beams", self._note_pool)
        self._before("_check_early_stop_heuristic", self._note_stop)

    def generate(self, source_ids: Tensor, attention_mask: Tensor, arguments: dict[str, Any]) -> Beams:
        """What generate() finds for source_ids, int64 [B,S], with these arguments."""
        self._margin = math.inf
        output = self.model.generate(
            input_ids=source_ids,
            attention_mask=attention_mask,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
            **arguments,
        )
        batch = source_ids.shape[0]
        sequences = output.sequences.reshape(batch, -1, output.sequences.shape[-1])
        if arguments["num_beams"] > 1:
            scores = output.sequences_scores.reshape(batch, -1)
        else:
            scores = self._greedy_scores(sequences[:, 0], output)
        return Beams(sequences, scores, self._margin)

    def _greedy_scores(self, sequences: Tensor, output: Any) -> Tensor:
        sums, ended = torch.zeros(len(sequences), dtype=torch.float64), torch.zeros(len(sequences), dtype=torch.bool)
        for step, (processed, raw) in enumerate(zip(output.scores, output.logits, strict=True)):
            chosen = sequences[:, step + 1]
            forced = processed.isfinite().sum(dim=1) == 1
            score = processed.gather(1, chosen[:, None])[:, 0]
            sums += torch.where(ended, 0.0, torch.where(forced, score, score - raw.logsumexp(dim=1)))
            self._note(processed.topk(2).values[~ended])
            ended |= chosen == self.eos
        return sums[:, None]

    def _before(self, method: str, note: Callable[..., None]) -> None:
        original = getattr(self.model, method)

        def noting(**state: Any) -> Any:
            note(**state)
            return original(**state)

        setattr(self.model, method, noting)

    def _note(self, values: Tensor) -> None:
        """The gaps in each row of `values` [B,n], sorted, those that are out of the running left out."""
        ranked = values.sort(dim=-1, descending=True).values
        gaps = (ranked[..., :-1] - ranked[..., 1:])[ranked[..., 1:] > REAL]
        if gaps.numel():
            self._margin = min(self._margin, float(gaps.min()))

    def _note_candidates(self, *, accumulated_log_probs: Tensor, beams_to_keep: int, **_: Any) -> None:
        self._note(accumulated_log_probs.topk(beams_to_keep + 1).values)

    def _note_pool(self, **state: Any) -> None:
        length = state["cur_len"] + 1 - state["decoder_prompt_len"]
        ended = state["next_token_hits_stopping_criteria"] & state["top_num_beam_mask"]
        new = torch.where(ended, state["topk_log_probs"] / length ** state["length_penalty"], -torch.inf)
        self._note(torch.cat((state["beam_scores"], new), dim=1))

    def _note_stop(self, **state: Any) -> None:
        hopeful = state["early_stopping"] == "never" and state["length_penalty"] > 0
        length = (state["max_length"] if hopeful else state["cur_len"]) - state["decoder_prompt_len"]
        best = state["running_beam_scores"][:, :1] / length ** state["length_penalty"]
        self._note(torch.cat((best, state["beam_scores"].min(dim=1, keepdim=True).values), dim=1))
