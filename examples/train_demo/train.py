"""Train the demo model on one GPU within a number of minutes; the clock drives the learning rate.

A run may be cut into stages: --end-fraction stops within the schedule, and --resume goes on from there.

Writes into --out: log.txt, config.json, dev.hyp.de and the averaged weights as ema-*.safetensors (fp16, small files);
the state to resume from goes to --state.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentencepiece import SentencePieceProcessor
from torch import Tensor

from batches import Batch, Sampler, load_buckets
from evaluate import Evaluator
from nmt_trt.models.transformer import DropoutRates, Transformer
from recipe import agreement_loss, demo_config, learning_rate, smoothed_loss

PART_BYTES = 15_000_000
EVALUATION_SECONDS = 180.0
LOG_SECONDS = 10.0


class Log:
    """Lines to the terminal and to a file, with the time since the start."""

    def __init__(self, path: Path) -> None:
        self.start = time.monotonic()
        self._file = path.open("a", encoding="utf-8")

    def __call__(self, text: str) -> None:
        line = f"{time.monotonic() - self.start:7.1f}s {text}"
        print(line, flush=True)
        self._file.write(line + "\n")
        self._file.flush()


def make_optimizer(model: Transformer) -> torch.optim.AdamW:
    """AdamW with weight decay on the projections only."""
    projections = [p for name, p in model.named_parameters() if p.ndim == 2 and "embedding" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embedding" in name]
    return torch.optim.AdamW(
        [{"params": projections, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=0.0,
        betas=(0.9, 0.98),
        eps=1e-9,
        fused=True,
    )


class Trainer:
    """The model, its running average and the optimizer."""

    def __init__(self, options: argparse.Namespace, model: Transformer, device: torch.device) -> None:
        self.model, self.device, self.options = model.train(), device, options
        self.average = Transformer(model.config).to(device).eval().requires_grad_(False)
        self.average.load_state_dict(model.state_dict())
        self.optimizer = make_optimizer(model)
        self.steps = 0
        self.skipped = torch.zeros((), device=device)
        self._loss = smoothed_loss
        self._agreement = agreement_loss
        if options.compile:
            for layer in (*model.encoder.layers, *model.decoder.layers):
                layer.compile(dynamic=True)
            self._loss = torch.compile(smoothed_loss, dynamic=True)
            self._agreement = torch.compile(agreement_loss, dynamic=True)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the training objective and the smoothed cross-entropy in it."""
        source, lengths, target = batch.source, batch.source_lengths, batch.target
        if self.options.rdrop:
            source, lengths, target = (torch.cat([part, part]) for part in (source, lengths, target))
        cuda = self.device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext():
            logits = self.model(source, lengths, target[:, :-1].contiguous())
        labels = target[:, 1:].contiguous()
        smoothed = self._loss(logits, labels)
        if self.options.rdrop:
            return smoothed + self.options.rdrop * self._agreement(logits, labels), smoothed.detach()
        return smoothed, smoothed.detach()

    def step(self, batch: Batch, rate: float) -> Tensor:
        """Update the weights and their average; returns the loss, not synchronised.

        An update whose loss or gradient is not finite is skipped, and counted in `skipped`.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        objective, reported = self.loss(batch)
        torch.autograd.backward(objective)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        bad = (~(norm + objective.detach()).isfinite()).float()
        self.skipped += bad
        self.optimizer.found_inf = bad  # type: ignore[attr-defined]  # fused: skips the update without waiting for it
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        decay = min(self.options.ema, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return reported

    def check(self) -> None:
        """Raise FloatingPointError when the running average holds a value that is not finite; synchronises."""
        finite = torch.stack([parameter.isfinite().all() for parameter in self.average.parameters()])
        if not bool(finite.all()):
            raise FloatingPointError(f"expected finite averaged weights, found others at step {self.steps}")

    def save_state(self, path: Path, fraction: float) -> None:
        """Write everything that --resume needs."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "fraction": fraction,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(path)

    def load_state(self, path: Path) -> float:
        """Restore a saved state; returns the fraction of the run that it had reached."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]
        return float(state["fraction"])


class Schedule:
    """Maps the clock to the fraction of the whole run: start at `begin`, reach `end` at the deadline (seconds)."""

    def __init__(self, begin: float, end: float, deadline: float) -> None:
        self._begin, self._end, self._deadline = begin, end, deadline
        self._clock = time.monotonic()

    def fraction(self) -> float:
        """Fraction of the run that is over, `end` when the time is up."""
        now = time.monotonic()
        if now >= self._deadline:
            return self._end
        return self._begin + (self._end - self._begin) * (now - self._clock) / (self._deadline - self._clock)

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._deadline


def warm_up(trainer: Trainer, sampler: Sampler) -> None:
    """Compile and autotune for every width, so that the schedule starts at full speed; weights are left alone."""
    for batch in sampler.one_of_each():
        torch.autograd.backward(trainer.loss(batch)[0])
    trainer.optimizer.zero_grad(set_to_none=True)
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()


def train(
    trainer: Trainer, batches: Iterator[Batch], schedule: Schedule, log: Log, evaluator: Evaluator | None
) -> None:
    """Step until the schedule is over; log, and evaluate the average now and then."""
    window, tokens, losses = time.monotonic(), 0, []
    evaluated = time.monotonic()
    while not schedule.over:
        batch = next(batches)
        rate = learning_rate(schedule.fraction())
        losses.append(trainer.step(batch, rate))
        tokens += batch.tokens
        if time.monotonic() - window >= LOG_SECONDS:
            trainer.check()
            loss = torch.stack(losses).nanmean().item()
            speed = tokens / (time.monotonic() - window)
            log(
                f"step {trainer.steps} at {schedule.fraction():.3f} rate {rate:.2e} loss {loss:.4f} "
                f"{speed:.0f} tokens/s, {trainer.skipped:.0f} updates skipped"
            )
            window, tokens, losses = time.monotonic(), 0, []
        if evaluator is not None and time.monotonic() - evaluated >= EVALUATION_SECONDS:
            scores = evaluator(trainer.average)
            log(f"dev loss {scores.loss:.4f} BLEU {scores.bleu:.2f} chrF {scores.chrf:.2f}")
            window, tokens, losses = time.monotonic(), 0, []
            evaluated = time.monotonic()


def save_average(model: Transformer, out: Path) -> None:
    """Write the weights in fp16, in files of at most PART_BYTES."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in model.state_dict().items():
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        if size + half.nbytes > PART_BYTES and parts[-1]:
            parts.append({})
            size = 0
        parts[-1][name] = half
        size += half.nbytes
    for number, part in enumerate(parts):
        save_file(part, out / f"ema-{number}.safetensors")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(".data/train"), help="folder made by prepare.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--state", type=Path, help="where to keep the resume state (default: OUT/last.pt)")
    parser.add_argument("--resume", type=Path, help="state of an earlier stage")
    parser.add_argument("--minutes", type=float, required=True, help="end of training, from the start of the script")
    parser.add_argument(
        "--start-fraction", type=float, help="where in the schedule to start (default: as resumed, or 0)"
    )
    parser.add_argument("--end-fraction", type=float, default=1.0, help="where in the schedule to stop")
    parser.add_argument("--hidden", type=int, default=320)
    parser.add_argument("--heads", type=int, default=5)
    parser.add_argument("--inner", type=int, default=1280)
    parser.add_argument("--encoder-layers", type=int, default=6)
    parser.add_argument("--decoder-layers", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=32768, help="padded tokens a side")
    parser.add_argument("--weights", type=float, nargs=3, default=(2.5, 1.0, 1.0), metavar=("SENT", "SHORT", "DICT"))
    parser.add_argument("--dropout", type=float, default=0.2, help="of embeddings and block outputs")
    parser.add_argument("--inner-dropout", type=float, default=0.1, help="of attention and activations")
    parser.add_argument("--rdrop", type=float, default=0.0, help="weight of the R-Drop term; 0 leaves it out")
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--benchmark", action="store_true", help="report the speed only: no evaluation, no weights")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def build(options: argparse.Namespace, device: torch.device) -> Transformer:
    """Make the model that the options and the SentencePiece model describe."""
    vocabulary = SentencePieceProcessor(model_file=str(options.data / "spm.model")).get_piece_size()
    config = demo_config(
        vocabulary, options.hidden, options.heads, options.inner, options.encoder_layers, options.decoder_layers
    )
    inner = options.inner_dropout
    rates = DropoutRates(embedding=options.dropout, attention=inner, activation=inner, layer=options.dropout)
    return Transformer(config, rates).to(device)


def main() -> None:
    """Train, evaluate and save."""
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    log = Log(options.out / "log.txt")
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(options, build(options, device), device)
    begin = trainer.load_state(options.resume) if options.resume else 0.0
    begin = begin if options.start_fraction is None else options.start_fraction
    parameters = sum(p.numel() for p in trainer.model.parameters())
    sampler = Sampler(
        load_buckets(options.data / "tokens.npz", device),
        options.batch_tokens,
        options.weights,
        options.seed + trainer.steps,
    )
    evaluator = None if options.benchmark else Evaluator(options.data, device)
    log(f"{parameters} parameters, torch {torch.__version__}, {vars(options)}")
    warm_up(trainer, sampler)
    log("warm")
    schedule = Schedule(begin, options.end_fraction, log.start + 60 * options.minutes)
    train(trainer, iter(sampler), schedule, log, evaluator)
    trainer.check()
    if evaluator is None:
        return
    trainer.save_state(options.state or options.out / "last.pt", options.end_fraction)
    save_average(trainer.average, options.out)
    (options.out / "config.json").write_text(
        json.dumps(trainer.model.config.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8"
    )
    scores = evaluator(trainer.average)
    log(f"dev loss {scores.loss:.4f} BLEU {scores.bleu:.2f} chrF {scores.chrf:.2f}, {sampler.rounds} rounds")
    (options.out / "dev.hyp.de").write_text("\n".join(scores.translations) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
