"""Data larger than memory: blocks of rows that are read when training or a prediction comes to them.

::

    data = fastnet.data.from_parquet("flights/", target="delayed")
    net.fit(data, epochs=5)
    for labels in fastnet.data.predict(net, data):
        ...

Training reads the blocks in random order, a tenth of the rows at a time, and shuffles those, while a thread reads the next tenth
(CorgiPile; Xu, Qiu, Yuan, Zhang et al. 2022). Memory holds two such buffers; or a cache holds all rows, once they have been
read (`Blocks.cached`).
"""

from ._arrays import from_arrays, from_zarr
from ._batches import from_batches
from ._tables import from_arrow, from_parquet
from .blocks import Blocks
from .predictions import predict, predict_to_file

__all__ = ["Blocks", "from_arrays", "from_arrow", "from_batches", "from_parquet", "from_zarr", "predict", "predict_to_file"]
