"""The errors and warnings that fastnet adds to Python's own."""

from __future__ import annotations


class DivergenceError(ArithmeticError):
    """A loss or a parameter became NaN or infinite in training.

    The network has the parameters of the last epoch (L-BFGS: iteration) that ended with finite ones, or the initial ones.

    Attributes
    ----------
    epoch : int
        Epoch (L-BFGS: iteration) in which training diverged, counted from 1.
    batch : int
        Batch of that epoch, counted from 1.
    """

    def __init__(self, message: str, epoch: int, batch: int) -> None:
        super().__init__(message, epoch, batch)  # all arguments, so that the error survives pickling
        self.epoch = epoch
        self.batch = batch

    def __str__(self) -> str:
        return str(self.args[0])


class DivergenceWarning(UserWarning):
    """Training ended with a loss that is finite, but far above that of its first epoch."""
