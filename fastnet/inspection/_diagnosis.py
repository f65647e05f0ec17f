"""A readable report on what is wrong with a network."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import losses
from .._models import model_view
from ..losses import Loss
from ._rules import RULES, Finding
from ._statistics import InputStatistics, LayerStatistics, input_scales, layer_statistics, sample_rows
from ._targets import target_statistics

__all__ = ["Diagnosis", "diagnose"]

_COLUMNS = {
    "layer": "layer",
    "activation": "activation",
    "units": "n_units",
    "dead": "dead_share",
    "saturated": "saturated_share",
    "W": "weight_scale",
    "A": "activation_scale",
    "|dZ|": "signal_gradient",
    "dW": "gradient_scale",
    "update/W": "update_ratio",
}
_LEGEND = "W, A, dW: root mean squares; |dZ|: norm of the backpropagated gradient; update/W: step size relative to the weights"


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `diagnose` found. Printing it gives the report; notebooks show it as tables.

    Attributes
    ----------
    model : str
        Class and layer sizes of the model.
    findings : tuple of Finding
        What is wrong, the root cause first; empty for a healthy network.
    layers : tuple of LayerStatistics
        What was measured of each layer.
    inputs : InputStatistics
        What was measured of the data.
    """

    model: str
    findings: tuple[Finding, ...]
    layers: tuple[LayerStatistics, ...]
    inputs: InputStatistics

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def verdict(self) -> str:
        """The result in one line."""
        if self.healthy:
            return f"{self.model}: nothing wrong on {self.inputs.n_rows} rows"
        kinds = ", ".join(finding.kind.replace("_", " ") for finding in self.findings)
        return f"{self.model}: {kinds}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists, strings and numbers, ready for JSON (NaN where not measurable)."""
        return {
            "model": self.model,
            "healthy": self.healthy,
            "findings": [asdict(finding) for finding in self.findings],
            "layers": [asdict(layer) for layer in self.layers],
            "inputs": asdict(self.inputs, dict_factory=_with_lists),
        }

    def __repr__(self) -> str:
        rows = [list(_COLUMNS), *self._cells()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(_COLUMNS))]
        table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines = [f"Diagnosis of {self.verdict}", "", *table, _LEGEND]
        for number, finding in enumerate(self.findings, start=1):
            lines += ["", f"{number}. {finding.kind.replace('_', ' ')} ({finding.where})", *_paragraphs(finding)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(title)}</th>" for title in _COLUMNS)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self._cells())
        items = "".join(
            f"<li><b>{escape(finding.kind.replace('_', ' '))}</b> ({escape(finding.where)}): {escape(finding.what)}<br>"
            f"{escape(finding.meaning)}<br><b>Change:</b> {escape(finding.change)}</li>"
            for finding in self.findings
        )
        return (
            f"<p><b>Diagnosis of {escape(self.verdict)}</b></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f"<p><small>{escape(_LEGEND)}</small></p>" + (f"<ol>{items}</ol>" if items else "")
        )

    def _cells(self) -> list[list[str]]:
        rows = [[_cell(title, getattr(layer, field)) for title, field in _COLUMNS.items()] for layer in self.layers]
        return _elide(rows, ["..."] * len(_COLUMNS), n_shown=12)


def _with_lists(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in pairs}


def _elide(items: Sequence[Any], mark: Any, *, n_shown: int) -> list[Any]:
    """If there are more than `n_shown` items, keep the first and last ones and put `mark` in place of the rest."""
    half = n_shown // 2
    return list(items) if len(items) <= n_shown else [*items[:half], mark, *items[-half:]]


def _cell(title: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (int, str)):
        return str(value)
    return f"{value:.0%}" if title in ("dead", "saturated") else f"{value:.2g}"


def _paragraphs(finding: Finding) -> list[str]:
    return [
        textwrap.fill(text, 100, initial_indent="   ", subsequent_indent="   ")
        for text in (finding.what, finding.meaning, f"Change: {finding.change}")
    ]


def _numbered(n_features: int) -> list[str]:
    return [f"feature {number}" for number in range(n_features)]


def diagnose(
    model: Any,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    loss: str | Loss | None = None,
    learning_rate: float | None = None,
    update_ratios: Sequence[float | None] | None = None,
) -> Diagnosis:
    """Look for what keeps a network from learning.

    It looks for dead and saturated units, vanishing and exploding gradients, inputs and targets of the wrong size, steps of
    the wrong size, a `tol` that ends training too soon, predictions that a constant beats, units that are all alike and
    numbers that are not finite.

    Parameters
    ----------
    model : Network or fitted estimator
    X : array-like of shape (n_rows, n_features)
        Data as the network sees it (scaled, if it is trained on scaled data), in any form that a `Network` takes. If there are
        more than 1000 rows, 1000 evenly spaced ones are used; dead and saturated units are looked for in at least 20 rows.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        Targets or class labels, in the units that the model predicts. Without them, gradients are those of a random sum of the
        outputs.
    loss : str or Loss, default=None
        None takes the one the estimator was trained on; for a `Network` the canonical one of its output activation.
    learning_rate : float, default=None
        Used to judge the size of updates; None takes an estimator's own.
    update_ratios : sequence of float or None, default=None
        Measured size of an update relative to the weights, one for each row of the report, in place of the estimate.

    Returns
    -------
    Diagnosis
        Print it, show it in a notebook, or read ``findings``, ``layers`` and ``to_dict()``.

    Raises
    ------
    ValueError
        If the shapes of `X` and `y` do not fit the model, or the estimator is not fitted.
    TypeError
        If `model` is neither a `Network` nor an estimator with ``coefs_``.

    Notes
    -----
    A unit is dead if its derivative is 0 on all rows, saturated if its derivative is below 5 % of the largest value on 95 %
    of them; a layer is reported if at least 30 % of its units are. Gradients vanish or explode if ``|dZ[1]| / |dZ[L]|`` is
    outside 1e-3 to 1e3. An estimator with `scale_target` is judged as it is trained, on standardised targets. The diagnosis
    takes one forward and one backward pass in float64.

    References
    ----------
    Kent, Introduction to Deep Learning (ISE 364/464 lecture slides): vanishing gradients and dying ReLU.
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks (2010).
    Lu et al., Dying ReLU and initialization (2019).

    Examples
    --------
    >>> import numpy as np
    >>> import fastnet as fn
    >>> from fastnet.inspection import diagnose
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> net = fn.Network([fn.Dense(8, "relu"), fn.Dense(1)], n_inputs=5, random_state=0)
    >>> diagnose(net, X).healthy
    True
    >>> net.biases[0][:4] = -100
    >>> [finding.kind for finding in diagnose(net, X).findings]
    ['dead_units']
    """
    view = model_view(model, as_trained=True)
    rows, targets = sample_rows(*view.flat(X, y))
    rows = view.checked(rows)
    Z, A = view.pass_of(rows)
    layers = layer_statistics(view, Z, A, targets, loss=loss, learning_rate=learning_rate, update_ratios=update_ratios)
    chosen = view.loss if loss is None else losses.get(loss, view.activations[-1])
    measured = view.measured_inputs
    targets_measured = target_statistics(view, view.mean_output(A[-1]), targets, chosen)
    inputs = InputStatistics(len(rows), input_scales(rows[:, measured]), targets_measured)
    names = [name for name, kept in zip(view.feature_names or _numbered(view.sizes[0]), measured, strict=True) if kept]
    findings = [rule(layers, inputs, names) for rule in RULES]
    return Diagnosis(
        model=f"{view.name} {'-'.join(_elide([str(size) for size in view.sizes], '...', n_shown=8))}",
        findings=tuple(finding for finding in findings if finding is not None),
        layers=tuple(layers),
        inputs=inputs,
    )
