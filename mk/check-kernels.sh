#!/bin/sh
# Runs the given ladders with times, one after the other, and adds up what they say. One that crashes
# or says nothing counts as a failure. Last line:
#     check-kernels: kernels=… steps=… ops=… gradients=… cases=… failed=…
# programs with ladders, and the steps of these; rows of the op table, how many of them have a gradient that
# was checked, and the cases of both.
set -u

SECONDS_MAX=300 # of one ladder

out=$(mktemp)
trap 'rm -f "$out"' EXIT
# Threads that spin while they wait for each other are slow on shared processors.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
kernels=0 steps=0 ops=0 gradients=0 cases=0 failed=0

number() { # the sum over lines "lab: … NAME=number …", one for each ladder of the program
    sed -n "s/^lab: .* $1=\([0-9][0-9]*\).*/\1/p" "$out" | awk '{ sum += $1 } END { print sum + 0 }'
}

for program in "$@"; do
    timeout -k 5 "$SECONDS_MAX" "$program" --time >"$out"
    status=$?
    grep -v '^\[\|^lab: ' "$out"
    f=$(number failed)
    if ! grep -q '^lab: ' "$out" || { [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; }; then
        echo "check-kernels: $program ended with status $status" >&2
        f=$((f + 1))
    fi
    s=$(number steps)
    [ "$s" -gt 0 ] && kernels=$((kernels + 1))
    steps=$((steps + s)) ops=$((ops + $(number rows))) failed=$((failed + f))
    gradients=$((gradients + $(number gradients))) cases=$((cases + $(number cases)))
done

echo "check-kernels: kernels=$kernels steps=$steps ops=$ops gradients=$gradients cases=$cases failed=$failed"
[ "$failed" -eq 0 ]
