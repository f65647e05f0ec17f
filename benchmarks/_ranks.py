"""Jobs of several processes: each is told how many units of work to do, and answers when it has done them.

A peer's module has a function ``rank(task, number)`` that gives the job of one of the processes. It runs in a process of its own,
which `main` serves; the processes of one job are independent as far as this module goes, and talk to each other as the peer does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

from benchmarks._timing import Job


def ranks(module: str, task: Any, *, mpi: bool = False, beginnings: Sequence[Sequence[str]] | None = None) -> Job:
    """A job for `task.processes` processes, which run ``rank`` of a module of peers until this process ends.

    Parameters
    ----------
    module : str
    task : Spread
    mpi : bool
        Whether ``mpiexec`` starts them.
    beginnings : sequence of command, optional
        What runs each of them.
    """
    folder = Path(tempfile.mkdtemp(prefix="fastnet-ranks-"))
    listener = Listener(str(folder / "socket"), "AF_UNIX")
    own = [sys.executable, "-m", "benchmarks._ranks", module, listener.address]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RANKS_FOLDER": str(folder)}
    if mpi:
        commands = [[*_mpiexec(), "-n", str(task.processes), *own, "mpi"]]
    else:
        commands = [[*beginning, *own, str(n)] for n, beginning in enumerate(beginnings or [[]] * task.processes)]
    for command in commands:
        subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
    connections = [listener.accept() for _ in range(task.processes)]

    def together(message: Any) -> None:
        for connection in connections:
            connection.send(message)
        for connection in connections:
            connection.recv()

    together(task)
    return together


def _mpiexec() -> list[str]:
    beside = Path(sys.executable).with_name("mpiexec")
    command = str(beside) if beside.exists() else "mpiexec"
    version = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
    if "Open" not in version:  # MPICH, which refuses Open MPI's options
        return [command, "-bind-to", "none"]
    as_root = ["--allow-run-as-root"] if os.getuid() == 0 else []
    return [command, *as_root, "--oversubscribe", "--bind-to", "none"]


def main() -> None:
    module, address, number = sys.argv[1:]
    if number == "mpi":
        from mpi4py import MPI

        number = MPI.COMM_WORLD.rank
    with Client(address, "AF_UNIX") as connection:
        job = import_module(module).rank(connection.recv(), int(number))
        connection.send("ready")
        try:
            while True:
                job(connection.recv())
                connection.send("done")
        except (EOFError, ConnectionResetError):  # the process that the job belongs to has ended
            return


if __name__ == "__main__":
    main()
