"""Ask for more memory than this process may have. Argument: what it is for, "workspace" or "network".

Prints the error, and whether a network that existed before still works.
"""

from __future__ import annotations

import resource
import sys

import numpy as np

import fastnet as fn


def main(what: str) -> None:
    X, y = np.zeros((100_000, 4), np.float32), np.zeros(100_000, np.float32)
    network = fn.Network([fn.Dense(4000, "tanh"), fn.Dense(1, "identity")], n_inputs=4, random_state=0)
    before = network.params.copy()
    network.loss(X[:10], y[:10])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + (256 << 20), limits[1]))
    try:
        if what == "workspace":
            network.fit(X, y, batch_size=100_000, epochs=1)
        else:
            fn.Network([fn.Dense(30_000, "relu"), fn.Dense(30_000, "relu")], n_inputs=4)
    except MemoryError as error:
        print(error)
    same = np.array_equal(network.params, before)
    network.fit(X[:100], y[:100], batch_size=50, epochs=1)
    print("unchanged, trains on" if same else "changed")


def _address_space() -> int:
    """Bytes of address space that this process has already."""
    with open("/proc/self/statm") as status:
        return int(status.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main(sys.argv[1])
