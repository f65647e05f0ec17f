#!/usr/bin/env bash
# Run the core's tests in a copy of the tree with the core built under gcc's sanitizers, or under valgrind:
#     bash tools/sanitize.sh [address|thread|valgrind] [test files]
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-address}
shift || true
case "$kind" in
address) flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined" runtime="libasan.so libubsan.so" ;;
thread) flags="-fsanitize=thread" runtime="libtsan.so" ;;
valgrind) flags="" runtime="" ;;
*) echo "usage: tools/sanitize.sh [address|thread|valgrind] [test files]" >&2; exit 2 ;;
esac
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cd "$copy"
CFLAGS="$flags -g -fno-omit-frame-pointer" LDFLAGS="$flags" python setup.py -q build_ext --inplace
preload=$(for library in $runtime; do gcc -print-file-name="$library"; done | tr '\n' ' ')
if [ "$kind" = valgrind ]; then # python's allocator would hide errors; a short training is minutes long here
    PYTHONMALLOC=malloc PYTHONPATH=$copy FASTNET_CPU=v2 valgrind -q --error-exitcode=66 --undef-value-errors=no \
        --suppressions=tools/valgrind.supp python tools/short_run.py
    exit
fi
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(tests/test_kernels.py tests/test_gradients.py tests/test_optimizers.py tests/test_training.py
    tests/test_determinism.py tests/test_inputs.py tests/test_threads.py tests/test_core_edges.py tests/test_layers.py
    tests/test_positions.py tests/test_recurrent.py tests/test_attention.py tests/test_batch_norm.py tests/test_ragged.py)
# CPython itself leaks at exit; only errors count.
LD_PRELOAD="$preload" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
    TSAN_OPTIONS=exitcode=66:die_after_fork=0:suppressions=$copy/tools/tsan.supp PYTHONPATH=$copy \
    python -m pytest -q -p no:cacheprovider "${tests[@]}"
