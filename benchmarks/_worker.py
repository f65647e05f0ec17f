"""The process of one contestant: it prepares tasks and times them on request.

Every contestant has its own process, so that its thread pools, BLAS and number of threads do not affect the others; while one is
timed, the others wait for a message. Requests arrive as pickles on stdin and answers go to the original stdout; whatever
libraries print goes to stderr.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
import warnings
from importlib import import_module
from typing import Any

from benchmarks._peers import Unsupported
from benchmarks._timing import Job, Round, calibrate, time_round


class _Server:
    """The prepared jobs of a peer, by number."""

    def __init__(self, peer: str, n_threads: int | None) -> None:
        self._peer = import_module(f"benchmarks._peers.{peer}")
        self._n_threads = n_threads
        self._jobs: dict[int, Job] = {}

    def ready(self) -> None:
        """Answered as soon as the peer's library is imported."""

    def prepare(self, number: int, task: Any) -> str | None:
        """Prepare the job of `task`. Return the reason if this peer cannot do it, otherwise None."""
        make = getattr(self._peer, task.kind, None)
        if make is None:
            return f"has no {task.kind}"
        try:
            self._jobs[number] = make(task, self._n_threads)
        except Unsupported as reason:
            return str(reason)
        return None

    def calibrate(self, number: int, min_seconds: float) -> tuple[int, float]:
        return calibrate(self._jobs[number], min_seconds)

    def round(self, number: int, n: int, retries: int) -> Round:
        return time_round(self._jobs[number], n, retries)

    def drop(self, number: int) -> None:
        self._jobs.pop(number, None)


def main() -> None:
    peer, n_threads = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")  # peers' warnings, such as those about convergence, do not matter here
    server = _Server(peer, n_threads or None)
    while True:
        try:
            request, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = ("answer", getattr(server, request)(*arguments))
        except Exception:
            answer = ("error", traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
