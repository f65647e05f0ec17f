"""The command line ``fastnet``: learn a table from a file, predict, evaluate, and compare with other libraries."""

from __future__ import annotations

import sys

INSTALL = "pip install 'fastnet-cpu[cli]'"


def main() -> None:
    """Run the command line with the arguments of the process."""
    try:
        from fastnet.cli._commands import fastnet
    except ImportError as error:
        if error.name != "click":
            raise
        print(f"fastnet: the command line needs click, which is not installed: {INSTALL}", file=sys.stderr)
        raise SystemExit(2) from None
    fastnet(prog_name="fastnet")
