"""Makes a plain function a command: shared option groups are spread out, errors become exit codes."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, get_type_hints

import typer

from nmt_trt.errors import Error, UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE."""


def as_command(function: Callable[..., None]) -> Callable[..., None]:
    """`function` for typer. A parameter whose type is a dataclass becomes one option for each of its fields."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[DataclassInstance]] = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        annotation = parameter.annotation
        if isinstance(annotation, type) and is_dataclass(annotation):
            groups[parameter.name] = annotation
            parameters += _field_parameters(annotation)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**given: object) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        with reporting_errors():
            function(**given)
            sys.stdout.flush()

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _field_parameters(group: type[DataclassInstance]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn what can go wrong into one line on stderr and an exit code; a bug keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:  # whoever read our output has had enough
        _abandon_stdout()
        raise typer.Exit(EXIT_BROKEN_PIPE) from None
    except Error as error:
        _print_error(str(error))
        raise typer.Exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        _print_error(f"{where}{error.strerror or error}")
        raise typer.Exit(EXIT_FAILURE) from error


def _print_error(message: str) -> None:
    print("error: " + "; ".join(line.strip() for line in message.splitlines()), file=sys.stderr)


def _abandon_stdout() -> None:
    """Send what stdout still holds nowhere, or Python would complain about it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
