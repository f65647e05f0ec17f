"""A fit that is seen when it has succeeded: until then, it is prepared on a second object."""

from __future__ import annotations

from typing import Any


def draft_of(estimator: Any) -> Any:
    """A second object with the same attributes, on which a fit can be prepared, and refused, while others use the first."""
    draft = object.__new__(type(estimator))
    draft.__dict__.update(estimator.__dict__)
    return draft


def replace_state(estimator: Any, attributes: dict[str, Any]) -> None:
    """Give `estimator` these attributes and no others; it is never without a model that is there before and after."""
    for name in estimator.__dict__.keys() - attributes.keys():
        del estimator.__dict__[name]
    estimator.__dict__.update(attributes)
