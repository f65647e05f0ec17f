"""What the rest of fastnet takes an estimator for: a view for pictures, diagnoses and exports, and a network for files."""

from __future__ import annotations

from typing import Any

from fastnet import activations, losses
from fastnet._models import ModelView
from fastnet.layers import Dense, Graph, Inputs
from fastnet.losses import Loss, Quantile
from fastnet.network import Network
from fastnet.optimizers import SGD

from ._parameters import OUTPUT_ACTIVATIONS, dropouts, hidden_activations, layers, regression_loss
from ._prediction import adopt, fitted_network
from ._scaling import parameters_in_units_of_y
from ._solver import mini_batch_optimizer, uses_lbfgs
from ._types import MLP

__all__ = ["check_outputs", "fitted_network", "install", "view"]


def view(estimator: Any, *, as_trained: bool) -> ModelView:
    """The view of a fitted estimator, fastnet's or scikit-learn's; see `fastnet._models.model_view`."""
    output = activations.get(OUTPUT_ACTIVATIONS[estimator.out_activation_])
    classes = getattr(estimator, "classes_", None)
    optimizer = None if uses_lbfgs(estimator) else mini_batch_optimizer(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    own = estimator.coefs_, estimator.intercepts_
    coefs, intercepts = own if as_trained else parameters_in_units_of_y(estimator)
    rates = dropouts(estimator, len(coefs) - 1) if hasattr(estimator, "dropout") else [0.0] * (len(coefs) - 1)
    sizes = (coefs[0].shape[0], *(W.shape[1] for W in coefs))
    units = zip(sizes[1:], (*hidden_activations(estimator, len(coefs) - 1), output), (*rates, 0.0), strict=True)
    dense = tuple(Dense(n, g, dropout=rate) for n, g, rate in units)
    graph, ends = Graph.of(dense, Inputs(sizes[:1]))
    pairs = enumerate(zip(coefs, intercepts, strict=True), start=1)
    loss = losses.get(None if classes is not None else regression_loss(estimator), output)
    return ModelView(
        name=type(estimator).__name__,
        layers=dense,
        graph=graph,
        ends=tuple(ends),
        parameters={f"{number}.{name}": array for number, pair in pairs for name, array in zip("Wb", pair, strict=True)},
        sizes=sizes,
        feature_names=None if names is None else tuple(str(name) for name in names),
        output_names=_output_names(classes, sizes[-1]),
        loss=loss,
        classes=classes,
        learning_rate=None if optimizer is None else float(optimizer.learning_rate.bound(1)(0)),
        has_normalised_steps=optimizer is not None and not isinstance(optimizer, SGD),
        n_epochs=len(getattr(estimator, "loss_curve_", ())) or getattr(estimator, "n_iter_", None),
        tol=estimator.tol if optimizer is not None and _ended_by_tol(estimator) else None,
        target_scaler=getattr(estimator, "target_scaler_", None) if as_trained else None,
        sorted_levels=_sorted_levels(estimator, loss),
    )


def _ended_by_tol(estimator: Any) -> bool:
    watches_loss = not estimator.early_stopping or getattr(estimator, "scoring", None) == "loss"
    n_stalled = getattr(estimator, "_no_improvement_count", 0)
    return watches_loss and estimator.n_iter_no_change < n_stalled < estimator.n_iter_ < estimator.max_iter


def _sorted_levels(estimator: Any, loss: Loss) -> tuple[float, ...]:
    if isinstance(loss, Quantile) and len(loss.levels) > 1 and estimator.sort_quantiles:
        return loss.levels
    return ()


def _output_names(classes: Any, n_outputs: int) -> tuple[str, ...] | None:
    if classes is None:
        return None
    if n_outputs == 1:
        return (str(classes[-1]),)
    return tuple(str(label) for label in classes)


def install(estimator: MLP, network: Network) -> None:
    """Make a network the model of an estimator that is not fitted, and set the attributes that follow from it.

    Raises
    ------
    ValueError, TypeError
        Parameters that are not valid, or a network that they do not ask for.
    """
    estimator._validate_params()
    output = network.output_activation.name
    names = {ours: theirs for theirs, ours in OUTPUT_ACTIVATIONS.items()}
    if output not in names:
        raise ValueError(f"an estimator's output activation cannot be {output}")
    wanted = layers(estimator, list(network.sizes[1:]), names[output])
    given = [layer.activation for layer in network.layers if isinstance(layer, Dense)]
    if [layer.activation for layer in wanted] != given or len(given) != network.n_layers or network.n_members > 1:
        raise ValueError("the estimator's activation is not that of its network")
    estimator.n_features_in_, estimator.n_outputs_ = network.n_inputs, network.n_outputs
    estimator.n_layers_, estimator.out_activation_ = network.n_layers + 1, names[output]
    adopt(estimator, network)
    check_outputs(estimator)


def check_outputs(estimator: MLP) -> None:
    """Raise ValueError unless a regressor's outputs are as many for each target as it predicts quantiles."""
    estimator._core_loss(estimator._parameter_dtype()).n_targets(estimator.n_outputs_)
