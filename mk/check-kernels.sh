#!/bin/sh
# Runs the given ladders with times, one after the other, and adds up what they say. One that crashes
# or says nothing counts as a failed step. Last line: check-kernels: kernels=… steps=… failed=…
set -u

out=$(mktemp)
trap 'rm -f "$out"' EXIT
# Threads that spin while they wait for each other are slow on shared processors.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
kernels=0 steps=0 failed=0

number() { # of the last line "lab: … NAME=number …"
    sed -n "s/^lab: .* $1=\([0-9][0-9]*\).*/\1/p" "$out" | tail -n 1
}

for program in "$@"; do
    timeout -k 5 60 "$program" --time >"$out"
    status=$?
    grep -v '^\[\|^lab: ' "$out"
    s=$(number steps) f=$(number failed)
    if [ -z "$s" ] || { [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; }; then
        echo "check-kernels: $program ended with status $status" >&2
        f=$((${f:-0} + 1))
    fi
    kernels=$((kernels + 1)) steps=$((steps + ${s:-0})) failed=$((failed + f))
done

echo "check-kernels: kernels=$kernels steps=$steps failed=$failed"
[ "$failed" -eq 0 ]
