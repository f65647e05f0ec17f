"""The programs of the guide for engines that start process groups, each skipped where its engine is not installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 300
COMMANDS = {
    "with_torch.py": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    "with_ray.py": [],
    "with_spark.py": [],
}
NEEDED = {"with_torch.py": ["torch"], "with_ray.py": ["torch", "ray"], "with_spark.py": ["torch", "pyspark"]}


def programs():
    """The indented blocks of the page by the names that they begin with."""
    page = (ROOT / "docs" / "guide" / "engines.md").read_text(encoding="utf-8")
    blocks = map(textwrap.dedent, re.findall(r"(?:^(?: {4}.*)?\n)+", page, re.MULTILINE))
    return {match[1]: block for block in blocks if (match := re.match(r"\n*# (\w+\.py)\n", block))}


@pytest.mark.parametrize("name", COMMANDS)
def test_two_ranks_train_one_network(name, tmp_path):
    missing = [module for module in NEEDED[name] if find_spec(module) is None]
    if missing or (name == "with_spark.py" and shutil.which("java") is None):
        pytest.skip(f"needs {', '.join(missing) or 'Java'}")
    for program, code in programs().items():
        (tmp_path / program).write_text(code, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "MASTER": "local[2]",
        "PYSPARK_PYTHON": sys.executable,
    }
    result = subprocess.run(
        [sys.executable, *COMMANDS[name], name], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert result.returncode == 0, result.stderr
    lines = re.findall(r"rank (\d): R2 ([\d.-]+), ([\d.e+-]+)", result.stdout)  # two processes may print them without a break
    found = {int(rank): (float(score), total) for rank, score, total in lines}
    assert sorted(found) == [0, 1], result.stdout + result.stderr
    assert found[0][0] > 0.9 and found[1][0] > 0.9 and found[0][1] == found[1][1]
