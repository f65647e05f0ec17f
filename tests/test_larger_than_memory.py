"""Training on more rows than a limit of memory allows, each in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import run_python


def test_memory_stays_that_of_two_buffers(tmp_path):
    """Half a gigabyte of rows in a process whose heap may grow by a fifth of that."""
    resource = pytest.importorskip("resource")
    assert resource
    rows = 500_000
    np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (rows, 256)).flush()
    code = f"""
import resource
import numpy as np
import fastnet as fn
net = fn.Network([fn.Dense(2, "softmax")], 256, random_state=0)
net.fit(np.zeros((64, 256), np.float32), np.zeros(64, int), epochs=1)
X = np.load({str(tmp_path / "X.npy")!r}, mmap_mode="r")
def read(k):
    block = np.fromfile({str(tmp_path / "X.npy")!r}, np.float32, 1000 * 256, offset=128 + k * 1000 * 1024)
    return block.reshape(-1, 256), np.zeros(1000, int)
data = fn.data.from_batches(read, {rows // 1000}, rows=[1000] * {rows // 1000})
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + 100_000_000,) * 2)
print(net.fit(data, buffer=0.05, batch_size=256, epochs=1, random_state=0, n_threads=1).n_rows)
try:
    np.ones((rows := {rows}, 256), np.float32)
except MemoryError:
    print("limited")
"""
    result = run_python(code)
    assert result.stdout.split("\n")[:2] == [f"[{rows}]", "limited"], result.stderr


def test_parquet_files_larger_than_memory(tmp_path):
    """200 MB of rows, in row groups of 2 MB, in a process whose heap may grow by half of that."""
    pytest.importorskip("resource")
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows, groups = 8000, 100
    table = pyarrow.table({f"x{j}": np.zeros(rows, np.float32) for j in range(64)} | {"y": np.zeros(rows, int)})
    with parquet.ParquetWriter(tmp_path / "rows.parquet", table.schema) as writer:
        for _ in range(groups):
            writer.write_table(table)
    code = f"""
import resource
import numpy as np
import pyarrow.parquet
import fastnet as fn
net = fn.Network([fn.Dense(2, "softmax")], 64, random_state=0)
few = fn.data.from_batches(lambda number: (np.zeros((64, 64), np.float32), np.zeros(64, int)), 2)
net.fit(few, epochs=1)
data = fn.data.from_parquet({str(tmp_path)!r}, "y").cached(0)
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + 100_000_000,) * 2)
options = dict(batch_size=256, random_state=0, n_threads=1)
print(net.fit(data, buffer=0.05, epochs=1, **options).n_rows)
print(net.fit(data.cached({str(tmp_path)!r}), epochs=2, **options).n_rows)
print(sum(map(len, fn.data.predict(net, data))))
try:
    np.ones(({rows * groups}, 64), np.float32)
except MemoryError:
    print("limited")
"""
    result = run_python(code)
    m = rows * groups
    assert result.stdout.split("\n")[:4] == [f"[{m}]", f"[{m}, {m}]", str(m), "limited"], result.stderr
