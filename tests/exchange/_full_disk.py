"""Save a model that is larger than this process may write. Argument: path. Prints the error."""

from __future__ import annotations

import resource
import sys

import fastnet as fn


def main(path: str) -> None:
    network = fn.Network([fn.Dense(500, "relu"), fn.Dense(500, "identity")], n_inputs=500, random_state=0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        network.save(path)
    except OSError as error:
        print(type(error).__name__, error)


if __name__ == "__main__":
    main(sys.argv[1])
