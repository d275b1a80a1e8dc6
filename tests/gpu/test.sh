#!/bin/sh
# Everything that is checked on a GPU: networks beside the reference kernels, the ladders of own kernels, the
# op table, a process for each op (an error in a kernel ends what its process can do), and some ops again
# under compute-sanitizer.
#
#     test.sh BUNDLE
#
# Goes on past failures, and tells each when it is seen. What has not begun after SECONDS_MAX seconds is
# skipped; what has not ended GRACE_SECONDS later, as a process that waits for a lost GPU never does, is left
# behind, and fails. Last line:
#     N passed, N failed, N skipped
set -u
cd "$(dirname "$0")/../.." || exit 1

SECONDS_MAX=${SECONDS_MAX:-510}
GRACE_SECONDS=30

end=$(($(date +%s) + SECONDS_MAX))
bundle=$1
out=${OUT:-$1/results}
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
# shellcheck source=tests/gpu/count.sh
. tests/gpu/count.sh
setsid tests/gpu/parts.sh "$bundle" "$results" "$end" & # a group of processes, which can be ended as a whole
parts=$!
while kill -0 "$parts" 2>/dev/null && [ "$(date +%s)" -lt $((end + GRACE_SECONDS)) ]; do
    sleep 1
done
kill -KILL -- "-$parts" 2>/dev/null

cat "$results"/*.out | sed -n 's/^SKIP REASON: /skipped: /p' | sort | uniq -c
failures=$(find "$results" -name '*.out.fail' | sed 's|.*/||; s|\.out\.fail$||' | sort | paste -sd' ' -)
[ -n "$failures" ] && echo "failed: $failures"
mkdir -p "$out" && (cd "$results" && cat -- *.out) >"$out/test-gpu.log"
last=$(summary "$results"/*.out)
echo "$last"
case $last in *" 0 failed"*) ;; *) exit 1 ;; esac
