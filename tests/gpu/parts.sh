#!/bin/sh
# The parts of test-gpu, one after the other, the most telling first. What each program says goes to RESULTS
# (one.sh); END is when the last one has to have ended, in seconds since 1970.
#
#     parts.sh BUNDLE RESULTS END
set -u

bundle=$1 bin=$1/bin results=$2 end=$3

AT_ONCE=${AT_ONCE:-8}
OP_SECONDS=200
MODEL_SECONDS=150
LADDER_SECONDS=120
SANITIZE_SECONDS=90
# Of each kind of kernel one: rows, tiles through shared memory, programs of pointwise functions,
# windows, gathers; and convolutions.
SANITIZED='memcheck:Conv memcheck:Softmax memcheck:Transpose memcheck:MaxPool memcheck:Gather
    memcheck:Resize memcheck:MatMul memcheck:Concat racecheck:Softmax racecheck:Transpose
    racecheck:ReduceMean racecheck:LayerNormalization racecheck:MatMul'

sanitizer=
for place in "${CUDA:-/usr/local/cuda}/bin/compute-sanitizer" "$(command -v compute-sanitizer)"; do
    [ -x "$place" ] && sanitizer=$place
done

# shellcheck source=tests/gpu/count.sh
. tests/gpu/count.sh

run_all() { # lines of "NAME SECONDS COMMAND..." from standard input, AT_ONCE at a time
    xargs -r -P "$AT_ONCE" -L 1 tests/gpu/one.sh "$results" "$end"
}

check_models() {
    sed -n 's/^name=\([^ ]*\).*/\1/p' "$bundle/models.txt" |
        sed "s|.*|model.& $MODEL_SECONDS $bin/model_check check cuda $bundle &|" | run_all
}

check_kernels() {
    if [ -x "$bin/cuda_kernels" ]; then
        echo "kernels $LADDER_SECONDS $bin/cuda_kernels" | run_all
    else
        printf 'SKIP REASON: the bundle has no ladders\n[  SKIPPED ] 1 test(s).\n' >"$results/kernels.out"
    fi
}

check_ops() {
    "$bin/ops" --list | sed "s|.*|op.& $OP_SECONDS $bin/ops &|" | run_all
}

sanitize() {
    for pair in $SANITIZED; do
        tool=${pair%:*} op=${pair#*:}
        if [ -n "$sanitizer" ]; then
            echo "$tool.$op $SANITIZE_SECONDS $sanitizer --tool $tool --error-exitcode 9 $bin/ops $op"
        else
            printf 'SKIP REASON: there is no compute-sanitizer\n[  SKIPPED ] 1 test(s).\n' \
                >"$results/$tool.$op.out"
        fi
    done | run_all
}

# How far off the worst output is in each precision, a line for each network.
tell_models() {
    awk '$4 ~ /^[0-9.e+-]+$/ && $5 == "off," {
             if (!($1 in line)) names[++n] = $1
             key = $1 " " $2
             if (!(key in worst) || $4 / $7 > share[key]) { worst[key] = $4; share[key] = $4 / $7 }
             line[$1] = 1
         }
         END {
             for (i = 1; i <= n; i++) {
                 printf "%-36s", names[i]
                 split("f32 tf32 f16 bf16", precisions, " ")
                 for (p = 1; p <= 4; p++) {
                     key = names[i] " " precisions[p]
                     printf " %s %-8s", precisions[p], key in worst ? worst[key] : "-"
                 }
                 print ""
             }
         }' "$results"/model.*.out
}

check_models
tell_models
echo "networks: $(summary "$results"/model.*.out)"
check_kernels
grep -h '^lab: ' "$results/kernels.out"
check_ops
echo "ops: $(summary "$results"/op.*.out)"
sanitize
echo "under compute-sanitizer: $(summary "$results"/*check.*.out)"
