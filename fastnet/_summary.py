"""Networks and histories in short: in text, and as tables in HTML for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import dropwhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnet.history import History
    from fastnet.network import Network

_HEADER = ("layer", "output", "shape of W", "activation", "dropout", "parameters")


def _rows(network: Network) -> list[tuple[str, ...]]:
    """One row an operation, with the shape of what it makes of a row; those that are not dense say what they are.

    Members that have operations of their own share a row.
    """
    rows: list[tuple[str, ...]] = []
    graph = network._graph
    for node, output in zip(graph.nodes, graph.row_shapes[1:], strict=True):
        if node.member:
            continue
        operation, activation = node.operation, node.operation.activation
        dense = operation.kind == "dense"
        members = () if node.member is None else (network.n_members,)
        shapes = [(segment.name, (*members, *segment.shape)) for segment in operation.segments]
        shape = _shape(shapes[0][1]) if dense else ", ".join(f"{name} {_shape(shape)}" for name, shape in shapes)
        name = f"{activation.name}({activation.parameter:g})" if activation.parameter else activation.name
        dropout = f"{operation.dropout:g}" if operation.dropout else ""
        size = sum(math.prod(shape) for _, shape in shapes)
        label = node.path if dense else f"{node.path} {operation.kind}"
        rows.append((label, _shape(output), shape, name, dropout, f"{size:,}"))
    return rows


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _total(network: Network) -> str:
    return f"{network.n_params:,} parameters, {network.dtype.name}, {network.params.nbytes:,} bytes"


def text(network: Network) -> str:
    """The table as text, with numbers aligned right."""
    table = [_HEADER, *_rows(network)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i < len(row) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join([*lines, _total(network)])


def html(network: Network) -> str:
    """The table as HTML, for notebooks."""
    return _html(f"Network with {network.n_inputs} inputs", _HEADER, _rows(network), _total(network))


def _html(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], foot: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody><tfoot><tr><td colspan='{len(header)}'>{escape(foot)}</td></tr></tfoot></table>"
    )


#: Epochs that a table shows at the beginning and at the end of a history.
_SHOWN = 5


def history_text(history: History) -> str:
    """One line: how many epochs, the losses of the first and the last, and which was the best."""
    measured = {name: list(dropwhile(math.isnan, values)) or values for name, values in _losses(history).items()}
    curves = (f"{name} {values[0]:.4g} -> {values[-1]:.4g}" for name, values in measured.items())
    parts = "; ".join(filter(None, (", ".join(curves), _best(history))))
    return f"<{': '.join(filter(None, (f'History of {_count(history)}', parts)))}>"


def history_html(history: History) -> str:
    """The first and the last epochs as a table in HTML; columns that hold no number are left out."""
    curves = {name: values for name, values in history.as_dict().items() if not all(map(math.isnan, values))}
    n = len(history)
    epochs = range(n) if n <= 2 * _SHOWN + 1 else [*range(_SHOWN), None, *range(n - _SHOWN, n)]
    rows = [
        ["..."] * (len(curves) + 1) if epoch is None else [str(epoch + 1), *(_cell(values, epoch) for values in curves.values())]
        for epoch in epochs
    ]
    return _html(f"History of {_count(history)}", ["epoch", *curves], rows, _best(history))


def _cell(values: Sequence[float], epoch: int) -> str:
    if epoch >= len(values):
        return ""
    value = values[epoch]
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _count(history: History) -> str:
    return f"{len(history)} epoch{'s' * (len(history) != 1)}"


def _losses(history: History) -> dict[str, list[float]]:
    return {name: values for name in ("loss", "val_loss") if (values := getattr(history, name))}


def _best(history: History) -> str:
    best = history.best_epoch
    if best < 0:
        return ""
    name, values = list(_losses(history).items())[-1]
    return f"best epoch {best + 1} with {name} {values[best]:.4g}"
