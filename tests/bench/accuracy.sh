#!/bin/sh
# What the way of a frame costs in accuracy: vtest.avi goes through both daemons (loopback, CURVE, no
# frame dropped) at several rungs, and its undegraded frames through ONNX Runtime; persons at IoU 0.5
# against the boxes of PETS09-S2L1. Fails when the best rung answers fewer than all frames or is worse
# than ONNX Runtime by more than GAP_MAX. Started by make bench-accuracy. Last line:
#     accuracy: frames=… recall=… precision=… ort_recall=… ort_precision=… recall_gap=… precision_gap=…
set -eu

GAP_MAX=0.02
FPS=10 # of the clip: makes a bitrate of bytes
RUNG_SECONDS=200 # most for one rung: the agent waits for ever for a server that did not come up

build=$B
python=$ORT_PYTHON
truth=$TEST_DATA/pets09/gt.txt
clip=$build/demo/vtest.avi

if [ ! -r "$truth" ]; then
    echo "bench-accuracy: $truth is missing (MOTChallenge's boxes of PETS09-S2L1); set TEST_DATA" >&2
    exit 1
fi

scratch=$(mktemp -d "$build/accuracy.XXXXXX")
server=
finish() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 1' INT TERM

fail() {
    tail -n 20 "$scratch"/*.log >&2
    echo "bench-accuracy: $1" >&2
    exit 1
}

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
keys=$scratch/keys
{
    "$build/bin/cloud-server" keys new --folder "$keys" --name server &&
        "$build/bin/edge-agent" keys new --folder "$keys" --name edge &&
        "$build/bin/cloud-server" keys allow edge "$keys/edge.pub" --allow "$keys/allow" --stream vtest
} >"$scratch/keys.log" 2>&1 || fail "no keys could be made"
"$build/bin/cloud-server" run --config deploy/cloud-server.yaml \
    --set "listen.address=tcp://127.0.0.1:$port" --set "keys.folder=$keys" \
    --set "keys.allow=$keys/allow" --set answers.path= --set record.folder= --set http.address= \
    2>"$scratch/cloud-server.log" &
server=$!

# A figure of a line of NAME=VALUE words.
value() { # NAME LINE
    printf '%s\n' "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

score() { # ANSWERS: the line of figures
    "$build/test/bench/vtest_accuracy" "$1" "$truth" | tail -n 1
}

print_row() { # NAME LINE
    kbps=$(echo "$(value bytes_per_frame "$2") $FPS" | awk '{ print ($1 > 0 ? int($1 * $2 * 8 / 1000 + 0.5) : "-") }')
    printf '%-42s %8s %8s %8s %8s %9s %8s\n' "$1" "$(value answered "$2")" "$(value dropped "$2")" "$kbps" \
        "$(value recall "$2")" "$(value precision "$2")" "$(value f1 "$2")"
}

stream() { # NAME, then what to set for the camera, as rung.width=512; leaves $line
    name=$1
    shift
    # Every word becomes two: --set cameras.0.WORD
    for word in "$@"; do
        set -- "$@" --set "cameras.0.$word"
        shift
    done
    timeout --foreground -k 10 $RUNG_SECONDS "$build/bin/edge-agent" run --config deploy/edge-agent.yaml \
        --set "server.address=tcp://127.0.0.1:$port" --set "server.key=$keys/server.pub" \
        --set "keys.folder=$keys" --set cameras.0.name=vtest --set cameras.0.pace=fast \
        --set cameras.0.source.kind=file --set "cameras.0.source.path=$clip" \
        --set cameras.0.source.loop=false "$@" \
        --set "answers.path=$scratch/answers.jsonl" --summary "$scratch/summary.txt" \
        2>"$scratch/edge-agent.log" || fail "edge-agent failed, or took longer than $RUNG_SECONDS s"
    line=$(score "$scratch/answers.jsonl") || fail "no figures for $name"
    rm "$scratch/answers.jsonl"
    print_row "$name" "$line"
}

printf '%-42s %8s %8s %8s %8s %9s %8s\n' rung answered dropped kbit/s recall precision f1
stream "best: 768x576, quality 18" rung.width=768 rung.height=576 rung.mode=quality rung.quality=18 \
    rung.bitrate_kbps=20000
best=$line
stream "shipped: as in deploy/edge-agent.yaml"
stream "512x384 at 600 kbit/s" rung.width=512 rung.height=384 rung.mode=bitrate rung.bitrate_kbps=600
stream "384x288 at 300 kbit/s" rung.width=384 rung.height=288 rung.mode=bitrate rung.bitrate_kbps=300
stream "256x192 at 100 kbit/s" rung.width=256 rung.height=192 rung.mode=bitrate rung.bitrate_kbps=100

"$python" tests/bench/vtest_ort.py "$clip" models/street_det "$scratch/ort.jsonl"
peer=$(score "$scratch/ort.jsonl")
print_row "ONNX Runtime on undegraded frames, f32" "$peer"

gap() { # NAME
    echo "$(value "$1" "$peer") $(value "$1" "$best")" | awk '{ printf "%.4f", $1 - $2 }'
}
recall_gap=$(gap recall) precision_gap=$(gap precision)
missing=$(($(value frames "$best") - $(value answered "$best")))
good=$(echo "$recall_gap $precision_gap $missing $GAP_MAX" | awk '{ print $1 <= $4 && $2 <= $4 && $3 == 0 }')
[ "$good" = 1 ] || echo "bench-accuracy: frames are missing, or a gap is above $GAP_MAX" >&2
echo "accuracy: frames=$(value answered "$best") recall=$(value recall "$best")" \
    "precision=$(value precision "$best") ort_recall=$(value recall "$peer")" \
    "ort_precision=$(value precision "$peer") recall_gap=$recall_gap precision_gap=$precision_gap"
[ "$good" = 1 ]
