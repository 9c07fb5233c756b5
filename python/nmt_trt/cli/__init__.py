"""The command line, `nmt-trt`: one module a command (docs/cli.md)."""

from nmt_trt.cli.app import main

__all__ = ["main"]
