"""What estimators of networks of their own offer to other software: files, scikit-learn's estimators, ONNX."""

from __future__ import annotations

from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from fastnet._saving import Saving

from . import _interop


class Exchange(Saving):
    """Gives an estimator the methods that hand its model on."""

    def to_sklearn(self) -> Any:
        """A fitted estimator of scikit-learn with equal predictions, for exporters that know only those.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            It shares no memory with this one. Parameters that scikit-learn does not have are left out.

        Raises
        ------
        ValueError
            scikit-learn has no such network: it has an activation that scikit-learn lacks, several activations, or sorted
            quantiles.
        """
        check_is_fitted(self)
        return _interop.to_sklearn(self)

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """An estimator with the parameters of one of scikit-learn and, if that is fitted, a copy of its model.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            The estimator with the same name as this class.

        Returns
        -------
        MLPClassifier or MLPRegressor

        Raises
        ------
        TypeError
            `estimator` is not scikit-learn's estimator of this name.
        """
        return _interop.from_sklearn(cls, estimator)

    def to_onnx(self, **options: Any) -> Any:
        """Convert the fitted estimator to ONNX.

        Parameters
        ----------
        **options
            ``dtype``, ``opset``, ``zipmap``: those of `fastnet.onnx.to_onnx`.

        Returns
        -------
        onnx.ModelProto
        """
        from fastnet.onnx import to_onnx

        return to_onnx(self, **options)
