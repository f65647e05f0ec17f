"""The method `save` of everything that `fastnet.load` reads."""

from __future__ import annotations

import os


class Saving:
    """Gives a class the method `save`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was learnt to a safetensors file, which `fastnet.load` reads; no pickle.

        Parameters
        ----------
        path : str or path-like
            The file to create or replace; its name usually ends in `.safetensors`.

        Raises
        ------
        OSError
            The file could not be written; the previous one is unchanged.
        """
        from fastnet.persistence import save

        save(self, path)
