"""A network as a table, in text and in HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastnet.network import Network

_HEADER = ("layer", "shape of W", "activation", "dropout", "parameters")


def _rows(network: Network) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for number, (layer, W) in enumerate(zip(network.layers, network.weights, strict=True), 1):
        activation = layer.activation
        name = f"{activation.name}({activation.parameter:g})" if activation.parameter else activation.name
        dropout = f"{layer.dropout:g}" if layer.dropout else ""
        rows.append((str(number), f"{W.shape[0]} x {W.shape[1]}", name, dropout, f"{W.size + layer.n_units:,}"))
    return rows


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
    head = "".join(f"<th>{name}</th>" for name in _HEADER)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in _rows(network))
    return (
        f"<table><caption>Network with {network.n_inputs} inputs</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody><tfoot><tr><td colspan='{len(_HEADER)}'>{_total(network)}</td></tr></tfoot></table>"
    )
