"""`nmt-trt doctor`: what was found, what is missing, and the command that mends it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from nmt_trt.cli.command import EXIT_FAILURE
from nmt_trt.cli.console import Tables
from nmt_trt.doctor import Check, diagnose, works

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def doctor(as_json: AsJson = False) -> None:
    """Show what this installation found, what is missing, and the command that mends it.

    It translates one sentence with the bundled model. The exit code is 0 when that works, else 1.
    """
    checks = diagnose()
    working = works(checks)
    if as_json:
        print(json.dumps({"works": working, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        _show(checks, working)
    if not working:
        raise typer.Exit(EXIT_FAILURE)


def _show(checks: list[Check], working: bool) -> None:
    console = Tables(highlight=False)
    width = max(len(check.name) for check in checks)
    for check in checks:
        state, style = _state(check)
        line = Text.assemble((f"{state:<9}", style), f"{check.name:<{width}}  {check.detail}")
        console.print(line, soft_wrap=True)
        if check.fix is not None:
            console.print(Text(f"{'':<{width + 11}}mend it with: {check.fix}", style="cyan"), soft_wrap=True)
    verdict = "Translation works." if working else "Translation does not work yet: mend what is missing above."
    console.print(Text(f"\n{verdict}", style="green" if working else "red"))


def _state(check: Check) -> tuple[str, str]:
    if check.ok:
        return "ok", "green"
    return ("MISSING", "red") if check.needed else ("optional", "dim")
