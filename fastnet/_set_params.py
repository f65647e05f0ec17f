"""The method `set_params` of estimators, which knows the names that parameters have elsewhere."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator

from fastnet._hints import option_meant


class NamedParameters(BaseEstimator):
    """scikit-learn's parameters by name."""

    def set_params(self, **params: Any) -> Self:
        """Set parameters by their names.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            A name is not that of a parameter; the message gives the right one, or what to do instead, where it is known.
        """
        try:
            return super().set_params(**params)
        except ValueError as error:
            known = self.get_params()
            hints = (option_meant(name, {"": known}) for name in params if name not in known)
            raise ValueError(f"{error}{next(filter(None, hints), '')}") from None
