#!/bin/sh
# Times networks on this machine's GPU, ours beside PyTorch (bench.py tells how).
#
#     bench.sh BUNDLE
set -u
cd "$(dirname "$0")/../.." || exit 1

bundle=$1
# shellcheck source=tests/gpu/place.sh
. tests/gpu/place.sh || exit 1
# PyTorch has libraries of its own.
GPU_LIBRARIES=$libraries exec "${PYTHON:-python3}" tests/gpu/bench.py "$bundle" "${OUT:-$bundle/results}"
