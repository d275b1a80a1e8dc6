#!/bin/sh
# Runs clang-tidy on one C file with the include folders that mk/build.mk and mk/test.mk give it, and
# leaves what it says in $LINT_OUT. One file at a time: with several, clang-tidy 14 reports a va_list
# of the file before as not initialised.
set -u

file=$1
out=$LINT_OUT/$(echo "$file" | tr / _).tidy
case $file in
edge-agent/* | tests/unit/edge-agent/* | tests/sim/agent_side.c) folder="-Iedge-agent -Itests/pipeline" ;;
cloud-server/* | tests/unit/cloud-server/* | tests/sim/server_side.c | tests/sim/pool.c | tests/fuzz/labels_fuzz.c | tests/fuzz/arm_fuzz.c | tests/fuzz/probe_fuzz.c)
    folder="-Icloud-server -Itests"
    ;;
tests/bench/*) folder="-Itests/pipeline -Icloud-server -Iedge-agent" ;;
tests/demo/*) folder=-Icloud-server ;;
tests/pipeline/*) folder="-Itests/pipeline -Itests" ;;
tests/faults/rtsp_server.c) folder=$(pkg-config --cflags gstreamer-rtsp-server-1.0 | sed 's/-I/-isystem /g') ;;
tests/faults/*) folder="-Itests/pipeline -Itests" ;;
kernels/cuda/gpu.c | kernels/cuda/lib_*) # with CUDA's headers, or not at all
    cuda=${CUDA:-/usr/local/cuda}/include
    [ -e "$cuda/cudnn.h" ] || exit 0
    folder="-isystem $cuda"
    ;;
*) folder= ;;
esac

# $folder and $LINT_FLAGS are meant to split into words. The definitions stand for those that make
# gives to single files.
# shellcheck disable=SC2086
clang-tidy --quiet "$file" -- -std=c11 $LINT_FLAGS $folder \
    -DRUNESPOOR_VERSION='""' -DRUNESPOOR_COMMIT='""' -DCORPUS='""' >"$out" 2>"$out.log" && exit 0
status=$?
if ! grep -qE ':[0-9]+: (warning|error): ' "$out"; then
    cat "$out.log" >>"$out"
    echo "$file:1:1: error: clang-tidy ended with status $status" >>"$out"
fi
