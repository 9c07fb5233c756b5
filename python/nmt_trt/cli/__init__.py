"""The command line, `nmt-trt`: one module a command (docs/cli.md)."""

__all__ = ["main"]


def main() -> None:
    """Run the command line on this process's arguments and exit."""
    from nmt_trt.cli.app import main as run  # late: each process for text imports this package, and none runs a command

    run()
