"""Bad input ends in one line and exit status 2."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import click


class OneLine(click.Group):
    """A group of commands that says in one line what was wrong with its input, and each warning."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command, and end the process."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                sys.exit(super().main(*args, **{**extra, "standalone_mode": False}))
        except click.ClickException as error:
            click.echo(f"fastnet: {one_line(error.format_message())}", err=True)
            sys.exit(2)
        except click.Abort:
            click.echo("fastnet: interrupted", err=True)
            sys.exit(130)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that the first argument names."""
        if args[0] not in self.commands:
            raise click.UsageError(f"fastnet has no command {args[0]!r}{did_you_mean(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"fastnet: warning: {one_line(message)}", err=True)


def one_line(text: object) -> str:
    """A message without line breaks."""
    return " ".join(str(text).split())


@contextmanager
def refusing(*errors: type[Exception], about: str = "") -> Iterator[None]:
    """Turn these errors into one line, which begins with what it is about."""
    try:
        yield
    except errors as error:
        raise click.ClickException(f"{about}{': ' if about else ''}{one_line(error)}") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'price'?`` if there is a similar name, else the first of those there are."""
    names = list(known)
    folded = {other.lower(): other for other in names}
    close = get_close_matches(name.lower(), folded, n=1)
    if close:
        return f"; did you mean {folded[close[0]]!r}?"
    return f"; it has {listed(names)}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in quotes, the first few of many."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
