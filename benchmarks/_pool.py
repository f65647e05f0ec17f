"""Contestants in their worker processes, compared in interleaved rounds."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from textwrap import indent
from typing import Any

from benchmarks import _report
from benchmarks._environment import available_memory, n_cores
from benchmarks._peers import DEFAULT_THREADS, PEERS, missing
from benchmarks._results import Options, Series, without_goals

#: Seconds between two contestants: OpenBLAS's idle threads spin up to 0.1 s before they sleep.
_PAUSE = 0.1
#: Copies of a task's data that may exist at the same time, for all contestants together.
_COPIES = 12

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Entry:
    """A contestant in a comparison: `peer` does `task` on the fastest of the given numbers of threads (None: its default).

    A timing takes `min_seconds` at least, if those are more than the options'.
    """

    label: str
    peer: str
    task: Any
    threads: tuple[int | None, ...] = (None,)
    variables: tuple[tuple[str, str], ...] = ()
    min_seconds: float = 0.0


def fastnet(task: Any, label: str = "fastnet") -> Entry:
    """fastnet with its default number of threads."""
    return Entry(label, "fastnet", task)


def peer(label: str, task: Any) -> Entry:
    """A peer on one thread or on all cores, whichever is faster."""
    return Entry(label, PEERS[label].module, task, (1, n_cores()) if n_cores() > 1 else (1,))


def peers(labels: Iterable[str], task: Any, options: Options) -> list[Entry]:
    """Each peer at its faster number of threads; in a quick run also at its default, which is what its users get."""
    entries = [peer(label, task) for label in labels]
    if options.quick:
        entries += [Entry(entry.label + DEFAULT_THREADS, entry.peer, task) for entry in entries]
    return entries


class Worker:
    """A process that runs `benchmarks._worker` for one peer. It ends with `close`, or with this process."""

    def __init__(self, peer: str, n_threads: int | None, variables: Sequence[tuple[str, str]] = ()) -> None:
        environment = {**os.environ, **_thread_variables(n_threads), **dict(variables)}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "benchmarks._worker", peer, str(n_threads or 0)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def ask(self, request: str, *arguments: Any) -> Any:
        try:
            pickle.dump((request, arguments), self._process.stdin)
            self._process.stdin.flush()
            kind, answer = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError):
            raise RuntimeError(f"a benchmark process ended with code {self._process.wait()} during {request!r}") from None
        if kind == "error":
            raise RuntimeError(f"in the benchmark process:\n{answer}")
        return answer

    def close(self) -> None:
        with suppress(BrokenPipeError):  # it has already ended
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _thread_variables(n_threads: int | None) -> dict[str, str]:
    """Variables that limit OpenMP, OpenBLAS, MKL and XLA from the start of a process; the peers' own calls do the rest."""
    if n_threads is None:
        return {}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
    return dict.fromkeys(names, str(n_threads))


@dataclass
class _Contestant:
    """A prepared entry: `n` units of work fill a round; one took `seconds` when this was calibrated."""

    entry: Entry
    worker: Worker
    number: int
    threads: int | None
    n: int
    seconds: float


class Pool:
    """Worker processes, which are kept from one comparison to the next, and notes on what was left out."""

    def __init__(self, options: Options, goals: bool = False) -> None:
        self.options = options
        self._goals = goals
        self.notes: list[str] = []
        #: Results of the running group in the file that results are added to.
        self.earlier: dict[str, Any] | None = None
        #: Stores unfinished results of the running group in that file.
        self.keep: Callable[[dict[str, Any]], None] = lambda group: None
        self._workers: dict[tuple, Worker] = {}
        self._numbers = count()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end_workers()

    def end_workers(self) -> None:
        """End the processes, which the next comparison starts anew."""
        while self._workers:
            self._workers.popitem()[1].close()

    def note(self, text: str) -> None:
        """Print and store a line about something that was left out."""
        if text not in self.notes:
            self.notes.append(text)
            print(f"  {text}", flush=True)

    def usable(self, things: Sequence[Any]) -> list[Any]:
        """Those whose `missing` is None; a note says why others are left out."""
        reasons = [(one, one.missing()) for one in things]
        for one, reason in reasons:
            if reason is not None:
                self.note(f"{one.name}: skipped, {reason}")
        return [one for one, reason in reasons if reason is None]

    def report(self, result: dict[str, Any]) -> None:
        """Print a row as soon as it is measured."""
        print(indent(_report.measured(result if self._goals else without_goals(result)), "  "), flush=True)

    def compare(self, entries: Sequence[Entry]) -> dict[str, Series]:
        """Time the entries in interleaved rounds, with their order reversed from one round to the next.

        Entries that cannot take part are left out with a note. The result is empty if there is too little memory.
        """
        return self.compare_each([entries])[0]

    def compare_each(self, comparisons: Sequence[Sequence[Entry]]) -> list[dict[str, Series]]:
        """Several comparisons in common rounds, so that fast and slow periods of a shared machine affect all of them."""
        fields = [self._contestants(entries) for entries in comparisons]
        found = [{c.entry.label: Series(threads=c.threads) for c in contestants} for contestants in fields]
        for number in range(self.options.rounds):
            for contestants, series in zip(fields, found, strict=True):
                for c in contestants if number % 2 == 0 else contestants[::-1]:
                    time.sleep(_PAUSE)
                    series[c.entry.label].append(c.worker.ask("round", c.number, c.n, self.options.retries))
            if len(comparisons) > 1:
                print(f"  round {number + 1} of {self.options.rounds}", flush=True)
        for c in (c for contestants in fields for c in contestants):
            c.worker.ask("drop", c.number)
        return found

    def _contestants(self, entries: Sequence[Entry]) -> list[_Contestant]:
        needed = _COPIES * max(entry.task.n_bytes for entry in entries)
        if needed > available_memory():
            self.note(f"{_name(entries[0])}: skipped, needs {needed / 1e9:.1f} GB of free memory")
            return []
        entries = [entry for entry in entries if not self._absent(entry)]
        self._start(entries)
        return [contestant for entry in entries if (contestant := self._contestant(entry))]

    def _absent(self, entry: Entry) -> bool:
        absent = missing(entry.label)
        if absent:
            self.note(f"{entry.label.removesuffix(DEFAULT_THREADS)}: skipped, {absent}")
        return absent is not None

    def _start(self, entries: Sequence[Entry]) -> None:
        """Start the processes that do not exist yet, all at the same time, and wait for their imports."""
        keys = [_key(entry, threads) for entry in entries for threads in entry.threads]
        started = [self._workers.setdefault(key, Worker(*key)) for key in dict.fromkeys(keys) if key not in self._workers]
        for worker in started:
            worker.ask("ready")

    def _contestant(self, entry: Entry) -> _Contestant | None:
        """The entry on the fastest of its numbers of threads."""
        best = None
        for threads in entry.threads:
            candidate = self._prepared(entry, threads)
            if candidate is None:
                return None
            best, slower = (candidate, best) if best is None or candidate.seconds < best.seconds else (best, candidate)
            if slower:
                slower.worker.ask("drop", slower.number)
        return best

    def _prepared(self, entry: Entry, threads: int | None) -> _Contestant | None:
        worker, number = self._workers[_key(entry, threads)], next(self._numbers)
        unsupported = worker.ask("prepare", number, entry.task)
        if unsupported:
            self.note(f"{entry.label}: left out of {_name(entry)}, {unsupported}")
            return None
        least = max(self.options.min_seconds, entry.min_seconds)
        return _Contestant(entry, worker, number, threads, *worker.ask("calibrate", number, least))


def _key(entry: Entry, threads: int | None) -> tuple[str, int | None, tuple[tuple[str, str], ...]]:
    """Entries that can share a process."""
    return entry.peer, threads, entry.variables


def _name(entry: Entry) -> str:
    return getattr(entry.task, "name", entry.label)
