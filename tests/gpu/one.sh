#!/bin/sh
# Runs one program of test-gpu: what it prints goes to RESULTS/NAME.out, with a last line like cmocka's if it
# had none. END is when everything has to have ended, in seconds since 1970. Of a failure it tells the
# beginning: the end of a long output is the same for all.
#
#     one.sh RESULTS END NAME SECONDS COMMAND...
set -u

out=$1/$3.out end=$2 name=$3 seconds=$4
shift 4
left=$((end - $(date +%s)))
if [ "$left" -lt 5 ]; then
    printf 'SKIP REASON: no time is left\n[  SKIPPED ] 1 test(s).\n' >"$out"
    exit
fi
[ "$seconds" -lt "$left" ] || seconds=$left
printf 'runs still\n[  FAILED  ] 1 test(s).\n' >"$out"
timeout -k 5 "$seconds" "$@" >"$out.new" 2>&1
status=$?
mv "$out.new" "$out"
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
if grep -q '^\[  FAILED' "$out"; then
    { echo "FAIL $name"; grep -vE '^\[  PASSED|^SKIP|^$| off, bound ' "$out" | head -n 4 | cut -c1-200 |
        sed 's/^/    /'; } >"$out.fail"
    cat "$out.fail"
fi
