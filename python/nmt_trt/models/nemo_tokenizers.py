"""The tokenizers of a NeMo archive: their files, special ids and language tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nmt_trt.errors import ArchiveError, UnsupportedModelError
from nmt_trt.models.archive import Archive
from nmt_trt.models.config import SourceTokens, SpecialTokens, TextConfig, TokenizerConfig
from nmt_trt.models.nemo_config import NemoConfig, NemoTokenizer
from nmt_trt.text.sentencepiece_model import SentencePieceTokenizer
from nmt_trt.text.tokenizer import Tokenizer, make_tokenizer

_YTTM_IDS = (0, 2, 3)
"""pad, bos and eos of every tokenizer that NeMo has trained with YouTokenToMe: the library's defaults."""


@dataclass(frozen=True)
class ImportedText:
    """What an archive says about text.

    Attributes:
        text: None when a tokenizer file is missing.
        files: contents by the names that `text` uses.
        notes: what a user should know.
    """

    text: TextConfig | None
    special_tokens: SpecialTokens
    source_tokens: SourceTokens
    files: dict[str, bytes]
    notes: tuple[str, ...]


def import_text(archive: Archive, config: NemoConfig, source_vocab: int, target_vocab: int) -> ImportedText:
    """Read the tokenizers and check them against the vocabularies of the weights.

    Raises:
        ArchiveError: a damaged tokenizer, one for another vocabulary, or none and no special ids either.
        UnsupportedModelError: a tokenizer without a special token that translation needs.
        MissingDependencyError: a tokenizer needs a package that is not installed.
    """
    sides = (
        ("encoder", config.source_tokenizer, source_vocab),
        ("decoder", config.target_tokenizer, target_vocab),
    )
    contents = [_content(archive, section.model) for _, section, _ in sides]
    names = _file_names(contents)
    ids: list[tuple[int, int, int]] = []
    made: list[tuple[TokenizerConfig, Tokenizer]] = []
    notes: list[str] = []
    for (side, section, vocab), content, name in zip(sides, contents, names, strict=True):
        if section.library != "byte-level" and content is None:
            ids.append(_ids_without_file(side, section, vocab))
            notes.append(f"no {side} tokenizer file ({section.model!r}) in the archive: it cannot translate text")
            continue
        options = TokenizerConfig(
            kind=section.library,
            file=None if section.library == "byte-level" else name,
            right_to_left=section.right_to_left,
            legacy=section.legacy,
            added_tokens=tuple(f"<{language}>" for language in config.target_languages) if section.legacy else (),
        )
        made.append((options, make_tokenizer(options, {name: content or b""})))
        ids.append(_checked_ids(side, made[-1][1], vocab))
    source_pad, source_bos, source_eos = ids[0]
    target_pad, target_bos, target_eos = ids[1]
    complete = len(made) == len(sides)
    used = {options.file for options, _ in made}
    return ImportedText(
        text=_text_config(config, *made) if complete else None,
        special_tokens=SpecialTokens(pad=target_pad, eos=target_eos, start=target_bos),
        source_tokens=SourceTokens(pad=source_pad, bos=source_bos, eos=source_eos),
        files={n: c for n, c in zip(names, contents, strict=True) if complete and c is not None and n in used},
        notes=tuple(notes),
    )


def find_member(names: list[str], reference: str | None) -> list[str]:
    """The archive's members that a configuration's path to a file may mean.

    `nemo:<member>` names one; the plain path of an older archive stands for its base name, which may have got
    a prefix of 32 hexadecimal digits and an underscore.
    """
    if not reference:
        return []
    base = reference.removeprefix("nemo:").removeprefix("./")
    if not reference.startswith("nemo:"):
        base = base.rpartition("/")[2]
    if base in names:
        return [base]
    return [name for name in names if re.fullmatch(rf"[0-9a-f]{{32}}_{re.escape(base)}", name)]


def _content(archive: Archive, reference: str | None) -> bytes | None:
    members = find_member(archive.names, reference)
    contents = {archive.read(member, archive.limits.tokenizer) for member in members}
    if len(contents) > 1:
        raise ArchiveError(f"{archive.path.name}: {reference!r} may mean any of {', '.join(map(repr, members))}")
    return contents.pop() if contents else None


def _file_names(contents: list[bytes | None]) -> list[str]:
    """Names of our own for the files; one name when both sides have the same content."""
    if contents[0] == contents[1]:
        return ["tokenizer.model"] * 2
    return ["source_tokenizer.model", "target_tokenizer.model"]


def _ids_without_file(side: str, section: NemoTokenizer, vocab: int) -> tuple[int, int, int]:
    ids = section.special_ids or (_YTTM_IDS if section.library == "yttm" else None)
    if ids is not None and max(ids) < vocab:
        return ids
    if ids is not None:
        raise ArchiveError(f"the {side}'s special ids {ids} are outside its vocabulary of {vocab:,}")
    raise ArchiveError(
        f"no {side} tokenizer file ({section.model!r}) in the archive, so its special ids are unknown; "
        f"without it, {side}_tokenizer in model_config.yaml must tell pad_id, bos_id and eos_id"
    )


def _checked_ids(side: str, tokenizer: Tokenizer, vocab: int) -> tuple[int, int, int]:
    missing = [name for name in ("pad", "bos", "eos") if getattr(tokenizer, name) < 0]
    if missing:
        raise UnsupportedModelError(f"{side}_tokenizer has no token for {', '.join(missing)}")
    if tokenizer.vocab_size != vocab:
        raise ArchiveError(
            f"{side}_tokenizer has {tokenizer.vocab_size:,} tokens; the {side}'s embedding has {vocab:,}"
        )
    return tokenizer.pad, tokenizer.bos, tokenizer.eos


def _text_config(
    config: NemoConfig, source: tuple[TokenizerConfig, Tokenizer], target: tuple[TokenizerConfig, Tokenizer]
) -> TextConfig:
    return TextConfig(
        source_language=config.source_language,
        target_language=config.target_language,
        source_languages=config.source_languages,
        target_languages=config.target_languages,
        language_tokens=_language_tokens(config, source[1]),
        source_tokenizer=source[0],
        target_tokenizer=target[0],
    )


def _language_tokens(config: NemoConfig, tokenizer: Tokenizer) -> dict[str, int]:
    """Ids of `<language>` in the source vocabulary, for the languages that NeMo registers one for."""
    languages = config.target_languages or (config.source_languages if config.source_tokens else ())
    if not languages or not isinstance(tokenizer, SentencePieceTokenizer):
        return {}
    tokens = {language: tokenizer.token_id(f"<{language}>") for language in languages}
    unknown = [f"<{language}>" for language, token in tokens.items() if token == tokenizer.unk]
    if unknown:
        raise UnsupportedModelError(f"encoder_tokenizer lacks the language tokens {', '.join(unknown)}")
    return tokens
