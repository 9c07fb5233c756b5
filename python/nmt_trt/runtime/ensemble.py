"""Model directories that are opened together: one model, or an ensemble whose probabilities are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt_trt.errors import UsageError
from nmt_trt.model_directory import read_config, read_tokenizer_files
from nmt_trt.models.config import StackConfig, TokenizerConfig, TransformerConfig


@dataclass(frozen=True)
class Member:
    """One of the models.

    Attributes:
        directory: where it lies.
        config: its own configuration.
    """

    directory: Path
    config: TransformerConfig


def open_members(directory: str | Path, ensemble: Sequence[str | Path]) -> tuple[Member, ...]:
    """The model of `directory` and, behind it, those of `ensemble`, which must suit it.

    Depth, width and everything inside the models may differ; the ids that go in and come out must mean the same.

    Raises:
        ModelDirectoryError: a directory is not a complete model.
        UsageError: `ensemble` is no list of directories, or a model of it has other vocabularies, special tokens or
            tokenizers than the first; says all that differs.
    """
    if isinstance(ensemble, (str, Path)):
        raise UsageError(f"ensemble must be a list of model directories; given {ensemble!r}")
    members = tuple(Member(Path(path), read_config(Path(path))) for path in (directory, *ensemble))
    first = members[0]
    problems = [problem for member in members[1:] for problem in _differences(member, first)]
    if problems:
        raise UsageError(
            f"the models of an ensemble must have the vocabularies of {first.directory}: " + "; ".join(problems)
        )
    return members


def joint_config(members: Sequence[Member]) -> TransformerConfig:
    """The first model's configuration, with as many positions as every model has."""
    config = members[0].config
    return config.model_copy(
        update={
            "encoder": _limited(config.encoder, [member.config.encoder for member in members]),
            "decoder": _limited(config.decoder, [member.config.decoder for member in members]),
        }
    )


def described(members: Sequence[Member]) -> str:
    """What `Model.backend` tells of their number: nothing of a single model."""
    return f", {len(members)} models" if len(members) > 1 else ""


def _limited(stack: StackConfig, all_stacks: Sequence[StackConfig]) -> StackConfig:
    return stack.model_copy(update={"max_positions": min(other.max_positions for other in all_stacks)})


def _differences(member: Member, first: Member) -> Iterator[str]:
    ours, theirs = _meanings(first.config), _meanings(member.config)
    for name, wanted in ours.items():
        if theirs[name] != wanted:
            yield f"{member.directory} has {name} {theirs[name]}, not {wanted}"
    yield from _tokenizer_differences(member, first)


def _meanings(config: TransformerConfig) -> dict[str, object]:
    """What ids depend on, by the names that people are told."""
    source, target = config.source_tokens, config.special_tokens
    return {
        "a source vocabulary of size": config.encoder.vocab_size,
        "a target vocabulary of size": config.decoder.vocab_size,
        "source pad": source.pad,
        "source bos": source.bos,
        "source eos": source.eos,
        "source prepend": source.prepend,
        "target pad": target.pad,
        "target eos": target.eos,
        "target start": target.start,
    }


def _tokenizer_differences(member: Member, first: Member) -> Iterator[str]:
    """Of tokenizers whose files both models have; a model without tokenizers takes the first's ids as they are."""
    if first.config.text is None or member.config.text is None:
        return
    ours, theirs = (read_tokenizer_files(one.directory, one.config) for one in (first, member))
    for side in ("source", "target"):
        wanted: TokenizerConfig = getattr(first.config.text, f"{side}_tokenizer")
        given: TokenizerConfig = getattr(member.config.text, f"{side}_tokenizer")
        if _options(given) != _options(wanted):
            yield f"{member.directory} has another kind of {side} tokenizer"
            continue
        for file, other in zip(given.files, wanted.files, strict=True):
            if theirs[file] != ours[other]:
                yield f"the {side} tokenizer's {member.directory / file} is not {first.directory / other}"


def _options(tokenizer: TokenizerConfig) -> dict[str, object]:
    """Everything but the names of the files."""
    options = tokenizer.model_dump(exclude={"file": True, "vocabulary": {"file"}})
    return {**options, "has a file": tokenizer.file is not None}
