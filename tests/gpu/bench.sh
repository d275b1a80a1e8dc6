#!/bin/sh
# Times networks on this machine's GPU, ours beside PyTorch (bench.py tells how), in less than ten minutes.
#
#     bench.sh BUNDLE
set -u
cd "$(dirname "$0")/../.." || exit 1

SECONDS_MAX=${SECONDS_MAX:-500} # after which nothing more is begun
GRACE_SECONDS=40                # after which bench.py ends amid what it does
KILL_SECONDS=20                 # after which it is ended

# bench.py says the last line, unless it cannot.
end_without() {
    echo "gpu: geomean_b1=- geomean_b8=- geomean_b32=- restore_peak=- kernels_bandwidth=-"
    exit 1
}

end=$(($(date +%s) + SECONDS_MAX))
bundle=$1
out=${OUT:-$1/results}
# shellcheck source=tests/gpu/place.sh
. tests/gpu/place.sh || end_without
limit=$((end + GRACE_SECONDS + KILL_SECONDS - $(date +%s)))
# PyTorch has libraries of its own.
GPU_LIBRARIES=$libraries timeout -k 5 "$limit" "${PYTHON:-python3}" tests/gpu/bench.py \
    "$bundle" "$out" "$end" "$GRACE_SECONDS"
case $? in
0) ;;
3) exit 1 ;; # something failed, and the last line is there
*) end_without ;;
esac
