"""The tokenizer of a Hugging Face Marian checkpoint: its files, special tokens and languages."""

from __future__ import annotations

from nmt_trt.models.config import SourceTokens, TextConfig, VocabularyConfig
from nmt_trt.models.huggingface_config import HuggingFaceConfig
from nmt_trt.models.huggingface_files import CheckpointDirectory
from nmt_trt.models.huggingface_tokenizers import (
    TOKENIZER_CONFIG,
    CheckpointText,
    check_special_tokens,
    refuse_added_tokens,
    settings_notes,
    special_name,
    token_name,
    vocabulary_tokenizer,
    without_tokenizer,
)
from nmt_trt.models.sections import Findings, Section

_SOURCE, _TARGET = "source.spm", "target.spm"
_VOCABULARY, _TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
_DEFAULT_NAMES = {"unk": "<unk>", "eos": "</s>", "pad": "<pad>"}


def import_marian_text(directory: CheckpointDirectory, config: HuggingFaceConfig) -> CheckpointText:
    """Read the tokenizer and check it against the model.

    Raises:
        UnsupportedModelError: tokenizer options that nmt_trt does not have; lists all of them.
        ArchiveError: a damaged tokenizer, or one for another vocabulary or other special tokens.
        MissingDependencyError: sentencepiece is not installed.
    """
    findings = Findings(TOKENIZER_CONFIG)
    settings = Section("", directory.read_optional_object(TOKENIZER_CONFIG), findings)
    names = {name: special_name(settings, f"{name}_token", default) for name, default in _DEFAULT_NAMES.items()}
    separate = settings.flag("separate_vocabs", False)
    notes = settings_notes(settings)
    refuse_added_tokens(settings, _added_tokens(settings) - set(names.values()))
    languages = settings.text("source_lang"), settings.text("target_lang")
    findings.report()
    vocabularies = (_VOCABULARY, _TARGET_VOCABULARY if separate else _VOCABULARY)
    files = (_SOURCE, _TARGET, *vocabularies)
    if missing := {name for name in files if not directory.has(name)}:
        return without_tokenizer(missing, config.special_tokens)
    contents = {name: directory.read(name, directory.limits.tokenizer) for name in files}
    sides = [VocabularyConfig.model_validate({"file": file, **names}) for file in vocabularies]
    source, reader = vocabulary_tokenizer(contents, _SOURCE, sides[0], config.encoder.vocab_size)
    target, writer = vocabulary_tokenizer(contents, _TARGET, sides[1], config.decoder.vocab_size)
    check_special_tokens(config.special_tokens, writer, sides[1])
    targets = tuple(reader.languages)
    text = TextConfig(
        source_language=languages[0],
        target_language=None if targets else languages[1],
        target_languages=targets,
        language_tokens=reader.languages,
        inline_languages=bool(targets),
        source_tokenizer=source,
        target_tokenizer=target,
    )
    return CheckpointText(text, SourceTokens(pad=reader.pad, bos=None, eos=reader.eos), contents, notes)


def _added_tokens(settings: Section) -> set[str]:
    """The names of tokens besides those of the vocabulary, and of special ones."""
    added = {
        token_name(entry) or str(entry)
        for entry in settings.section("added_tokens_decoder", optional=True).values.values()
    }
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = settings.values.get(key)
        added |= {str(name) for name in listed} if isinstance(listed, list) else set()
    return added
