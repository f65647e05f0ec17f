"""What the rest of fastnet takes an estimator for: a view for pictures, diagnoses and exports, and a network for files."""

from __future__ import annotations

from typing import Any

from fastnet import activations, losses
from fastnet._models import ModelView
from fastnet.activations import Activation
from fastnet.layers import Dense, Graph, Inputs
from fastnet.network import Network
from fastnet.optimizers import SGD

from ._parameters import OUTPUT_ACTIVATIONS, dropouts, hidden_activations, regression_loss
from ._prediction import adopt, fitted_network
from ._scaling import output_in_units_of_y, parameters_in_units_of_y
from ._solver import mini_batch_optimizer, uses_lbfgs
from ._types import MLP

__all__ = ["fitted_network", "install", "view"]


def view(estimator: Any, *, as_trained: bool) -> ModelView:
    """The view of a fitted estimator, fastnet's or scikit-learn's; see `fastnet._models.model_view`."""
    output = activations.get(OUTPUT_ACTIVATIONS[estimator.out_activation_])
    classes = getattr(estimator, "classes_", None)
    optimizer = None if uses_lbfgs(estimator) else mini_batch_optimizer(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    parts = _dense_parts(estimator, output, as_trained) if _is_dense(estimator) else _parts_of(estimator, as_trained)
    loss = losses.get(None if classes is not None else regression_loss(estimator), output)
    return ModelView(
        name=type(estimator).__name__,
        **parts,
        feature_names=None if names is None else tuple(str(name) for name in names),
        output_names=_output_names(classes, parts["sizes"][-1]),
        loss=loss,
        classes=classes,
        learning_rate=None if optimizer is None else optimizer.first_rate,
        has_normalised_steps=optimizer is not None and not isinstance(optimizer, SGD),
        n_epochs=len(getattr(estimator, "loss_curve_", ())) or getattr(estimator, "n_iter_", None),
        tol=estimator.tol if optimizer is not None and _ended_by_tol(estimator) else None,
        target_scaler=getattr(estimator, "target_scaler_", None) if as_trained else None,
        sorted_levels=_sorted_levels(estimator),
    )


def _is_dense(estimator: Any) -> bool:
    return getattr(estimator, "_layers", None) is None


def _dense_parts(estimator: Any, output: Activation, as_trained: bool) -> dict[str, Any]:
    """What a view says about the dense layers that `coefs_` and `intercepts_` are of."""
    own = estimator.coefs_, estimator.intercepts_
    coefs, intercepts = own if as_trained else parameters_in_units_of_y(estimator)
    rates = dropouts(estimator, len(coefs) - 1) if hasattr(estimator, "dropout") else [0.0] * (len(coefs) - 1)
    sizes = (coefs[0].shape[0], *(W.shape[1] for W in coefs))
    units = zip(sizes[1:], (*hidden_activations(estimator, len(coefs) - 1), output), (*rates, 0.0), strict=True)
    dense = tuple(Dense(n, g, dropout=rate) for n, g, rate in units)
    graph, ends = Graph.of(dense, Inputs(sizes[:1]))
    pairs = enumerate(zip(coefs, intercepts, strict=True), start=1)
    parameters = {f"{number}.{name}": array for number, pair in pairs for name, array in zip("Wb", pair, strict=True)}
    return {"layers": dense, "graph": graph, "ends": tuple(ends), "parameters": parameters, "sizes": sizes}


def _parts_of(estimator: Any, as_trained: bool) -> dict[str, Any]:
    """What a view says about any other layers, of which the last is dense."""
    network, last = fitted_network(estimator), estimator.n_layers_ - 1
    parameters = dict(network.parameters)
    if not as_trained and hasattr(estimator, "target_scaler_"):
        names = f"{last}.W", f"{last}.b"
        parameters.update(zip(names, output_in_units_of_y(estimator, *(parameters[name] for name in names)), strict=True))
    return {
        "layers": network.layers,
        "graph": network._graph,
        "ends": tuple(network._ends),
        "parameters": parameters,
        "sizes": network.sizes,
        "network": network,
    }


def _ended_by_tol(estimator: Any) -> bool:
    watches_loss = not estimator.early_stopping or getattr(estimator, "scoring", None) == "loss"
    n_stalled = getattr(estimator, "_no_improvement_count", 0)
    return watches_loss and estimator.n_iter_no_change < n_stalled < estimator.n_iter_ < estimator.max_iter


def _sorted_levels(estimator: Any) -> tuple[float, ...]:
    levels = estimator._levels() if getattr(estimator, "sort_quantiles", False) else ()
    return levels if len(levels) > 1 else ()


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
    estimator.out_activation_ = names[output]
    if network.n_members > 1 or not estimator._takes(network):
        raise ValueError("the estimator's activation or layers are not those of its network")
    estimator.n_features_in_, estimator.n_outputs_ = network.n_inputs, network.n_outputs
    estimator.n_layers_ = network.n_layers + 1
    adopt(estimator, network)
    if hasattr(estimator, "_levels"):
        losses.Quantile(estimator._levels()).n_targets(network.n_outputs)  # refuses another number of quantiles
