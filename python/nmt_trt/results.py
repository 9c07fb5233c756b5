"""What generation returns."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Hypothesis:
    """One generated sequence.

    Attributes:
        tokens: int32 [length], without start token, EOS and padding.
        score: the normalised score, the one that ranks.
        log_prob: the raw sum of the tokens' log-probabilities, EOS included.
        token_scores: float32, with the option of this name: the log-probability of each generated token in its order.
            Those of `tokens` come first, then that of EOS, unless the length limit came before it. Where policy "hf"
            generates PAD, which `tokens` leaves out, that has one too. Added up in fp32 they are `log_prob`; only
            policy "nemo" rescales that.
        attention: float32 [length or length + 1, source length], with the option of this name: what the decoder
            attended to in the source when it generated each of `tokens`, and then EOS, unless the length limit came
            before it; each row adds up to 1. docs/alignment.md says of which layer it is.
    """

    tokens: npt.NDArray[np.int32]
    score: float
    log_prob: float
    token_scores: npt.NDArray[np.float32] | None = None
    attention: npt.NDArray[np.float32] | None = None

    @property
    def alignment(self) -> npt.NDArray[np.int32] | None:
        """int32 [length]: the source token that each of `tokens` attended to most; None without `attention`."""
        if self.attention is None:
            return None
        rows = self.attention[: len(self.tokens)]
        return rows.argmax(axis=1).astype(np.int32) if rows.size else np.empty(0, dtype=np.int32)


@dataclass(frozen=True)
class TargetScore:
    """What a model thinks of a translation that it was given.

    Attributes:
        tokens: int32 [length], without EOS.
        token_scores: float32 [length + 1]: the log-probability of each token, EOS's at the end.
        log_prob: their sum in fp32.
    """

    tokens: npt.NDArray[np.int32]
    token_scores: npt.NDArray[np.float32]
    log_prob: float


@dataclass
class Timings:
    """Seconds spent in each stage of a translation, added up over batches, those that run at the same time included."""

    preprocess: float = 0.0
    encoder: float = 0.0
    generator: float = 0.0
    postprocess: float = 0.0

    @property
    def total(self) -> float:
        """The sum of the stages."""
        return self.preprocess + self.encoder + self.generator + self.postprocess

    def add(self, spent: Timings) -> None:
        """Add those of another part of the work."""
        for stage in fields(Timings):
            setattr(self, stage.name, getattr(self, stage.name) + getattr(spent, stage.name))


@dataclass(frozen=True)
class GenerationResult:
    """The outcome of `Model.generate`, in the order of the input.

    Attributes:
        hypotheses: for each sentence `num_hypotheses` of them, or as many as there are, best first; with policy
            "sample" in the order of their draws.
        timings: where the time went.
    """

    hypotheses: list[list[Hypothesis]]
    timings: Timings = field(default_factory=Timings)

    @property
    def sequences(self) -> list[npt.NDArray[np.int32]]:
        """The tokens of each sentence's best hypothesis."""
        return [best[0].tokens for best in self.hypotheses]

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """The score of each sentence's best hypothesis, float32 [B]."""
        return np.array([best[0].score for best in self.hypotheses], dtype=np.float32)
