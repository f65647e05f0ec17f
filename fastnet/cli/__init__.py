"""The command line ``fastnet``: learn a table from a file, predict, evaluate, and compare with other libraries."""

from __future__ import annotations

import sys
from collections.abc import Sequence

INSTALL = "pip install 'fastnet-cpu[cli]'"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, with `arguments` instead of those of the process."""
    try:
        from fastnet.cli._commands import fastnet
    except ImportError as error:
        if error.name != "click":
            raise
        print(f"fastnet: the command line needs click, which is not installed: {INSTALL}", file=sys.stderr)
        raise SystemExit(2) from None
    fastnet(arguments, prog_name="fastnet")
