"""Break the code in ways that the tests of failures are for, and see that they notice.

    python tools/mutate.py                     # all of tools/mutations.toml
    python tools/mutate.py mpi-                # those whose names begin so

Each mutation replaces one piece of text in a copy of the repository, in which each of its tests has to fail. Before that they
have to pass, and none may be skipped: install what they need, and compile the extension modules in place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: Seconds after which tests count as hung. Those that wait for something that never comes give up after two minutes.
PATIENCE = 300


def main(prefix: str = "") -> int:
    mutations = {
        name: mutation
        for name, mutation in tomllib.loads((ROOT / "tools" / "mutations.toml").read_text(encoding="utf-8")).items()
        if name.startswith(prefix)
    }
    if not mutations:
        sys.exit(f"No name in tools/mutations.toml begins with {prefix!r}.")
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder))
        answer = run(copy, sorted({test for mutation in mutations.values() for test in mutation["tests"]}))
        if answer != "passed":
            sys.exit(f"Without a mutation, the tests {answer}: all of them have to pass first.")
        missed = [name for name, mutation in mutations.items() if not noticed(copy, name, mutation)]
    print(f"{len(mutations) - len(missed)} of {len(mutations)} noticed", *(f"; not noticed: {name}" for name in missed), sep="")
    return bool(missed)


def copied(folder: Path) -> Path:
    """A copy of the files that git knows, and of the compiled modules."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and (ROOT / name).exists()]
    names += [str(path.relative_to(ROOT)) for path in (ROOT / "fastnet").rglob("*.so")]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def noticed(copy: Path, name: str, mutation: dict[str, Any]) -> bool:
    """Whether each of its tests fails with a mutation, of which the copy is rid afterwards."""
    path = copy / mutation["file"]
    before = path.read_text(encoding="utf-8")
    times = before.count(mutation["old"])
    if times != 1:
        sys.exit(f"{name}: {mutation['file']} must have the text to replace once, and has it {times} times.")
    path.write_text(before.replace(mutation["old"], mutation["new"]), encoding="utf-8")
    answers = {test: run(copy, [test]) for test in mutation["tests"]}
    path.write_text(before, encoding="utf-8")
    for test, answer in answers.items():
        print(f"{name}: {test} {answer}", flush=True)
    return set(answers.values()) == {"failed"}


def run(copy: Path, tests: list[str]) -> str:
    """What became of the tests: they passed, failed, were skipped or hung."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    try:
        result = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return "hung"
    if result.returncode == 1:
        return "failed"
    if result.returncode:
        sys.exit(f"pytest ended with status {result.returncode}:\n{result.stdout}{result.stderr}")
    return "were skipped" if "SKIPPED" in result.stdout else "passed"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
