#!/usr/bin/env bash
# Where one thread's time goes in training a shape of the benchmarks, by functions of the core (needs perf, Debian's linux-perf):
#     bash tools/profile.sh [xs|tab|tab200|digits|med|mnist|big] [seconds]
set -euo pipefail
cd "$(dirname "$0")/.."
shape=${1:-tab} seconds=${2:-10}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cd "$copy"
FASTNET_SYMBOLS=1 python setup.py -q build_ext --inplace
# The first five seconds import, make the data and start.
OPENBLAS_NUM_THREADS=1 perf record -q -F 2000 --delay 5000 -o "$copy/perf.data" python - "$shape" "$seconds" <<'PYTHON'
import sys, time
from benchmarks import train
from benchmarks._peers.fastnet import trainer

job = trainer(next(task for task in train.SHAPES if task.name == sys.argv[1]), 1)
end = time.monotonic() + 5 + float(sys.argv[2])
while time.monotonic() < end:
    job(1)
PYTHON
perf report -i "$copy/perf.data" --stdio --no-children --percent-limit 0.5 2>/dev/null | grep -v '^#' | grep .
