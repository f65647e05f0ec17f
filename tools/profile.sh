#!/usr/bin/env bash
# Where one thread's time goes in training shapes of the benchmarks, by kinds of work and by functions (needs perf, Debian's linux-perf):
#     bash tools/profile.sh [xs|tab|tab200|digits|med|mnist|big ...]
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- tab
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cd "$copy"
FASTNET_SYMBOLS=1 python setup.py -q build_ext --inplace
report() { perf report -i "$copy/perf.data" --stdio --no-children "$@" 2>/dev/null | grep -v '^#' | grep .; }
for shape; do
    echo "== $shape"
    # The first five seconds import, make the data and start. A call has as many epochs as in the benchmarks.
    OPENBLAS_NUM_THREADS=1 perf record -q -F 2000 --delay 5000 -o "$copy/perf.data" python - "$shape" <<'PYTHON'
import sys, time
from benchmarks import train
from benchmarks._peers.fastnet import trainer
from benchmarks._timing import calibrate

job = trainer(next(task for task in train.SHAPES if task.name == sys.argv[1]), 1)
epochs, _ = calibrate(job, 0.1)
end = time.monotonic() + 12
while time.monotonic() < end:
    job(epochs)
PYTHON
    report | awk '
        { share = $1; sub("%", "", share); total += share }
        $NF ~ /rows[12]_|product|pack_|narrow_|dots_|swapped_|gemm/ { part["products"] += share; next }
        $NF ~ /activate|multiply|softmax|cross_entropy|subtract_largest|normalise|_sums|output|loss/ { part["elementwise"] += share; next }
        $NF ~ /memmove|memset|copy|gather/ { part["copies"] += share; next }
        $NF ~ /train|update|tile|draw|shuffle|labels|largest_of|look_at|clock|forward_and_back/ { part["optimiser, loop"] += share; next }
        { part["Python, system"] += share }
        END { for (name in part) printf "%5.1f %%  %s\n", 100 * part[name] / total, name }' | sort -rn
    report --percent-limit 0.5
done
