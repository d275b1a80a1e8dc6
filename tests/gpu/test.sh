#!/bin/sh
# Everything that is checked on a GPU: the op table, a process for each op (an error in a kernel ends what
# its process can do), networks beside the reference kernels, and some ops again under compute-sanitizer.
#
#     test.sh BUNDLE
#
# Goes on past failures. What has not begun after SECONDS_MAX seconds is skipped. Last line:
#     N passed, N failed, N skipped
set -u
cd "$(dirname "$0")/../.." || exit 1

SECONDS_MAX=${SECONDS_MAX:-510}
AT_ONCE=${AT_ONCE:-6}
OP_SECONDS=200
MODEL_SECONDS=120
SANITIZE_SECONDS=90
# Of each kind of kernel one: rows, tiles through shared memory, programs of pointwise functions,
# windows, gathers; and convolutions.
SANITIZED='memcheck:Conv memcheck:Softmax memcheck:Transpose memcheck:MaxPool memcheck:Gather
    memcheck:Resize memcheck:MatMul memcheck:Concat racecheck:Softmax racecheck:Transpose
    racecheck:ReduceMean racecheck:LayerNormalization racecheck:MatMul'

end=$(($(date +%s) + SECONDS_MAX))
bundle=$1
# shellcheck source=tests/gpu/place.sh
if ! . tests/gpu/place.sh; then
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
export LD_LIBRARY_PATH="$libraries"
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
# Choices of libraries are found anew: that they can be is part of the test.
export XDG_CACHE_HOME="$results/cache"
mkdir "$results/cache"

sanitizer=
for place in "${CUDA:-/usr/local/cuda}/bin/compute-sanitizer" "$(command -v compute-sanitizer)"; do
    [ -x "$place" ] && sanitizer=$place
done

# Runs one: NAME SECONDS COMMAND... Its output goes to results/NAME.out, with a last line like cmocka's if
# it had none.
cat >"$results/one" <<'ONE'
name=$1 seconds=$2 out=$results/$1.out
shift 2
left=$((end - $(date +%s)))
if [ "$left" -lt 5 ]; then
    printf 'SKIP REASON: %s: no time is left\n[  SKIPPED ] 1 test(s).\n' "$name" >"$out"
    exit
fi
[ "$seconds" -lt "$left" ] || seconds=$left
timeout -k 5 "$seconds" "$@" >"$out" 2>&1
status=$?
case $name:$status in
memcheck.*:124 | racecheck.*:124) # it makes kernels some hundred times slower
    printf '\nSKIP REASON: %s: takes more than %d seconds\n[  SKIPPED ] 1 test(s).\n' "$name" "$seconds" >>"$out"
    exit
    ;;
esac
if [ "$status" -ne 0 ] && ! grep -q '^\[  FAILED' "$out"; then
    printf '\nended with status %d within %d seconds\n[  FAILED  ] 1 test(s).\n' "$status" "$seconds" >>"$out"
fi
if ! grep -q '^\[  [A-Z]* *\] [0-9]' "$out"; then
    printf '\nsays nothing\n[  FAILED  ] 1 test(s).\n' >>"$out"
fi
ONE
export results end

run_all() { # lines of "NAME SECONDS COMMAND..." from standard input, AT_ONCE at a time
    xargs -r -P "$AT_ONCE" -L 1 sh "$results/one"
}

sed -n 's/^name=\([^ ]*\).*/\1/p' "$bundle/models.txt" |
    sed "s|.*|model.& $MODEL_SECONDS $bin/model_check check cuda $bundle &|" | run_all
"$bin/ops" --list | sed "s|.*|op.& $OP_SECONDS $bin/ops &|" | run_all
for pair in $SANITIZED; do
    tool=${pair%:*} op=${pair#*:}
    if [ -n "$sanitizer" ]; then
        echo "$tool.$op $SANITIZE_SECONDS $sanitizer --tool $tool --error-exitcode 9 $bin/ops $op"
    else
        printf 'SKIP REASON: there is no compute-sanitizer\n[  SKIPPED ] 1 test(s).\n' \
            >"$results/$tool.$op.out"
    fi
done | run_all

count() { # of one kind, in all results
    sed -n "s/^\[ *$1 *\] \([0-9][0-9]*\) test(s).*/\1/p" "$results"/*.out | awk '{ n += $1 } END { print n + 0 }'
}

# Of each failure its beginning: the end of a long output is the same for all.
for out in "$results"/*.out; do
    grep -q '^\[  FAILED' "$out" || continue
    name=${out##*/}
    echo "FAIL ${name%.out}"
    grep -v '^\[  PASSED' "$out" | head -n 4 | cut -c1-240 | sed 's/^/    /'
done
grep -hE '^[a-z0-9_]+ (f32|tf32|f16|bf16) [^ ]+: ' "$results"/model.*.out 2>/dev/null
cat "$results"/*.out | sed -n 's/^SKIP REASON: /skipped: /p' | sort -u
mkdir -p "${OUT:-$bundle/results}" && (cd "$results" && cat -- *.out) >"${OUT:-$bundle/results}/test-gpu.log"
failed=$(count FAILED)
echo "$(count PASSED) passed, $failed failed, $(count SKIPPED) skipped"
[ "$failed" -eq 0 ]
