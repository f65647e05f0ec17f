"""The rules of a diagnosis: each reads the measurements and returns a finding, or None.

To add one: write a function with this signature and add it to `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ._statistics import InputStatistics, LayerStatistics

__all__ = ["RULES", "Finding"]

_LARGE_FEATURE, _SMALL_FEATURE = 20.0, 1e-2
_SMALL_DEVIATION, _LARGE_DEVIATION, _LARGE_OFFSET = 0.2, 100.0, 3.0
_CONSTANT = 1e-12
_FEWEST_EPOCHS = 10
_LARGE_TOL = 1e-2
_DEAD_SHARE = 0.3
_SATURATED_SHARE = 0.3
_VANISHED, _EXPLODED = 1e-3, 1e3
_LOST_SPREAD = 1e-3
_LARGE_UPDATE = 0.3


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        Stable name, such as ``"dead_units"``.
    where : str
        Which layers or features are affected.
    what : str
        What was measured.
    meaning : str
        What it leads to.
    change : str
        How to fix it.
    """

    kind: str
    where: str
    what: str
    meaning: str
    change: str


Layers = Sequence[LayerStatistics]
FeatureNames = Sequence[str]
Rule = Callable[[Layers, InputStatistics, FeatureNames], Finding | None]


def not_finite(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Parameters or activations that are NaN or infinite."""
    sick = [layer for layer in layers if not layer.finite]
    if not sick:
        return None
    return Finding(
        "not_finite",
        f"layer {sick[0].layer}" + (" and after" if len(sick) > 1 else ""),
        "Parameters or activations are NaN or infinite.",
        "Training has diverged: every prediction through this layer is meaningless.",
        "Start again with a smaller learning rate or max_grad_norm, and scale the inputs.",
    )


def unscaled_inputs(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Features far from unit size."""
    if not inputs.scales.size:
        return None
    largest = int(np.argmax(inputs.scales))
    scale = inputs.scales[largest]
    if scale > _LARGE_FEATURE:
        n_large = int(np.sum(inputs.scales > _LARGE_FEATURE))
        return Finding(
            "unscaled_inputs",
            f"{n_large} of {len(inputs.scales)} features, the worst is {names[largest]}",
            f"Its root mean square is {scale:.3g} (the median feature's is {np.median(inputs.scales):.3g}).",
            "Initial weights are made for inputs of about unit size. Large inputs saturate the first layer and make its "
            "gradients dwarf all others, so that no single learning rate suits the network.",
            "Standardise the features, for example with sklearn.preprocessing.StandardScaler in a pipeline.",
        )
    if 0 < scale < _SMALL_FEATURE:
        return Finding(
            "unscaled_inputs",
            "all features",
            f"The largest has a root mean square of {scale:.3g}.",
            "The first layer sees almost nothing but its biases, and its weights' gradients are as small as the inputs.",
            "Standardise the features, for example with sklearn.preprocessing.StandardScaler in a pipeline.",
        )
    return None


def unscaled_targets(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Regression targets far from mean 0 and deviation 1."""
    targets = inputs.targets
    if targets is None or not targets.standardisable:
        return None
    for column, (mean, deviation) in enumerate(zip(targets.means, targets.deviations, strict=True)):
        meaning = _meaning_of_scale(float(mean), float(deviation))
        if meaning is not None:
            return Finding(
                "unscaled_targets",
                "y" if len(targets.means) == 1 else f"column {column} of y",
                f"The mean of the targets is {mean:.3g}, their standard deviation {deviation:.3g}.",
                meaning,
                "Standardise the targets: MLPRegressor(scale_target=True), or (y - y.mean()) / y.std() for a Network.",
            )
    return None


def _meaning_of_scale(mean: float, deviation: float) -> str | None:
    if deviation <= _CONSTANT * abs(mean):
        return None
    if deviation > _LARGE_DEVIATION:
        return "Outputs start near 0, so the first gradients are as large as the targets and training is slow or diverges."
    if deviation < _SMALL_DEVIATION:
        return "One step of the optimiser moves the outputs by much of that, and improvements of the loss are smaller than tol."
    if abs(mean) > _LARGE_OFFSET * deviation:
        return "Outputs start near 0: training first has to reach the mean, and learns the differences between rows only later."
    return None


def large_tol(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Training that ended because `tol` asks for larger improvements than the loss can make."""
    targets = inputs.targets
    if targets is None or targets.tol is None or not 0 < targets.constant_loss < targets.tol / _LARGE_TOL:
        return None
    return Finding(
        "large_tol",
        "tol",
        f"tol is {targets.tol:g}, the loss of a constant prediction {targets.constant_loss:.3g}.",
        "An epoch counts as an improvement only if the loss falls by tol, so training stopped while it was still learning.",
        "Standardise the targets (scale_target=True), or set tol below a thousandth of that loss.",
    )


def identical_units(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Layers whose units all compute the same."""
    sick = [layer for layer in layers[:-1] if layer.identical_units]
    if not sick:
        return None
    return Finding(
        "identical_units",
        _where(sick),
        "All units have the same weights and bias.",
        "They get the same gradients too, so the layer never does more than a single unit could.",
        "Initialise the weights at random (glorot_uniform, he_normal), not with zeros or a constant.",
    )


def dead_units(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Units of the ReLU family that are off on all rows."""
    sick = [layer for layer in layers if layer.dead_share is not None and layer.dead_share >= _DEAD_SHARE]
    if not sick:
        return None
    worst = max(sick, key=lambda layer: layer.dead_share or 0.0)
    return Finding(
        "dead_units",
        _where(sick),
        f"{worst.dead_share:.0%} of the {worst.n_units} {worst.activation} units of layer {worst.layer} are off on all "
        f"{inputs.n_rows} rows.",
        "A unit that is off on every row gets no gradient and cannot recover: the layer has lost that part of its capacity.",
        "Use leaky_relu in place of relu, lower the learning rate (one step that is too large kills units), initialise with "
        "he_normal, and train again from fresh weights.",
    )


def saturated_units(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Sigmoid or tanh units stuck at their ends."""
    sick = [layer for layer in layers if layer.saturated_share is not None and layer.saturated_share >= _SATURATED_SHARE]
    if not sick:
        return None
    worst = max(sick, key=lambda layer: layer.saturated_share or 0.0)
    return Finding(
        "saturated_units",
        _where(sick),
        f"{worst.saturated_share:.0%} of the {worst.n_units} {worst.activation} units of layer {worst.layer} are saturated "
        f"on nearly all of the {inputs.n_rows} rows.",
        "Where the curve is flat its derivative is almost 0, so the unit and all layers before it hardly learn.",
        "Scale the inputs, start from smaller weights (glorot_uniform), lower the learning rate, or use relu or leaky_relu.",
    )


def vanishing_gradient(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Gradients that shrink as they are propagated back to the first layer."""
    layers = [layer for layer in layers if layer.only_way]
    ratios = _gradient_ratios(layers)
    weakest = int(np.argmin(ratios))
    if not ratios[weakest] < _VANISHED or _has_dead_layer(layers):
        return None
    squashing = any(layer.activation in ("sigmoid", "tanh") for layer in layers[:-1])
    cure = "Use relu or leaky_relu with he_normal in the hidden layers" if squashing else "Use larger initial weights (he_normal)"
    return Finding(
        "vanishing_gradient",
        f"layer {layers[weakest].layer}" + (" and before" if weakest else ""),
        f"The gradient reaching layer {layers[weakest].layer} is {ratios[weakest]:.1e} times that of layer {layers[-1].layer}.",
        "Each layer multiplies the gradient by its weights and g'(z), which is at most 0.25 for sigmoid: the first layers "
        "hardly learn, however long you train.",
        f"{cure}, or fewer layers.",
    )


def exploding_gradient(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Gradients or activations that grow from layer to layer."""
    ratios = _gradient_ratios(layers)
    strongest = int(np.argmax(ratios))
    input_scale = max(1.0, float(np.sqrt(np.mean(inputs.scales**2)))) if inputs.scales.size else 1.0
    growth = max((layer.activation_scale for layer in layers[:-1]), default=0.0) / input_scale
    if ratios[strongest] > _EXPLODED:
        at, last = layers[strongest].layer, layers[-1].layer
        what = f"The gradient reaching layer {at} is {ratios[strongest]:.1e} times that of layer {last}."
    elif growth > _EXPLODED:
        what = f"Activations grow to {growth:.1e} times the size of the inputs."
    else:
        return None
    return Finding(
        "exploding_gradient",
        f"layers {layers[0].layer} to {layers[-1].layer}",
        what,
        "Each layer multiplies what passes it by more than 1: updates overshoot, and training diverges.",
        "Start from smaller weights (he_normal for relu, glorot_uniform for tanh), set max_grad_norm, lower the learning rate.",
    )


def lost_signal(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Layers whose activations hardly depend on the inputs; one row alone cannot show that."""
    if inputs.n_rows == 1:
        return None
    for layer in layers[:-1]:
        if layer.only_way and layer.activation_spread < _LOST_SPREAD * layer.activation_scale and not _has_dead_layer(layers):
            return Finding(
                "lost_signal",
                f"layer {layer.layer} and after",
                f"Activations vary by {layer.activation_spread:.1e} over the rows, at a size of {layer.activation_scale:.1e}.",
                "Every row looks the same to the layers after this one, so they can only learn a constant.",
                "Use fewer layers, relu or leaky_relu with he_normal, and inputs of unit variance.",
            )
    return None


def large_updates(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """Steps nearly as large as the weights they change."""
    sick = [layer for layer in layers if layer.update_ratio is not None and layer.update_ratio > _LARGE_UPDATE]
    if not sick:
        return None
    worst = max(sick, key=lambda layer: layer.update_ratio or 0.0)
    return Finding(
        "large_updates",
        _where(sick),
        f"One update moves the weights of layer {worst.layer} by {worst.update_ratio:.2g} of their own size.",
        "About a thousandth is usual. Steps this large forget what was learned, kill ReLU units and end in divergence.",
        "Lower the learning rate, set max_grad_norm, or warm the learning rate up.",
    )


def worse_than_constant(layers: Layers, inputs: InputStatistics, names: FeatureNames) -> Finding | None:
    """A trained regressor that a constant beats."""
    targets = inputs.targets
    if targets is None or targets.n_epochs is None or targets.n_epochs < _FEWEST_EPOCHS:
        return None
    if not targets.model_loss > targets.constant_loss > 0:
        return None
    ratio = targets.model_loss / targets.constant_loss
    return Finding(
        "worse_than_constant",
        "predictions",
        f"Their loss on these rows is {ratio:.3g} times that of the best constant; 1 minus that, R2 for squared errors, is "
        f"{1 - ratio:.2g}.",
        f"After {targets.n_epochs} epochs the network predicts worse than it would without looking at the features.",
        "Standardise features and targets, train longer or at a higher learning rate. If the training rows are predicted well, "
        "these rows differ too much from them, or the network needs more training rows or more regularisation.",
    )


RULES: tuple[Rule, ...] = (
    not_finite,
    unscaled_inputs,
    unscaled_targets,
    large_tol,
    identical_units,
    dead_units,
    saturated_units,
    vanishing_gradient,
    exploding_gradient,
    lost_signal,
    large_updates,
    worse_than_constant,
)


def _gradient_ratios(layers: Layers) -> np.ndarray:
    """Return the norm of dZ[l] over that of dZ[L] for every layer; ones where the last is 0 or unknown."""
    norms = np.array([layer.signal_gradient for layer in layers])
    return norms / norms[-1] if norms[-1] > 0 else np.ones_like(norms)


def _has_dead_layer(layers: Layers) -> bool:
    return any(layer.dead_share == 1.0 for layer in layers)


def _where(layers: Layers) -> str:
    """Name up to six layers; if there are more, give their number and the first one."""
    numbers = [str(layer.layer) for layer in layers]
    if len(numbers) > 6:
        return f"{len(numbers)} layers, the first of them {numbers[0]}"
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
