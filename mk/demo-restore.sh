#!/bin/sh
# Streams a clip twice at a low rung through cloud-server and edge-agent on loopback, with the shipped
# configurations: once analysed as it is received, once restored before by a network that learnt for the
# detector. Started by make demo-restore.
#   CLIP=street.mp4   any clip, of a long one the first SECONDS_MAX; without it the sample video
#   RUNG=256x192      the size that is sent; without it a third of each side
#   KBPS=30           at which bitrate
#   NETWORKS=a,b      networks (ONNX files) to restore with; without it the detector's own
# Leaves in build/demo-restore:
#   pair.mp4          both beside each other: what was found, over what is found in the source (thin, white)
#   tail90.svg        the accuracy that 90 % of frames reach, over the bitrate, by cloud-server eval
#   readme.png        a frame of the tail above the plot
#   without.jsonl, with.jsonl   the answers of both streams
# Last line, both streams against what the detector says of the source:
#     demo-restore: frames=… f1_without=… f1_with=… tail90_without=… tail90_with=… kbit_s=…
set -eu

MODEL=models/street_det
SECONDS_MAX=80      # of a clip; the sample video has 79.5
READY_SECONDS=60    # most that the server may take to load and check its model
STREAM_SECONDS=600  # most for one stream
SCORED_PICTURES=100 # of the clip, about, for each point of the plot
KBPS_LEAST=16       # that a rung may have
PNG_WIDTH=960

build=${B:-build}
folder=$build/demo-restore
keys=$folder/keys
port=${DEMO_PORT:-5572}
kbps=${KBPS:-30}
networks=${NETWORKS:-$(echo "$MODEL"/restore/*.onnx | tr ' ' ',')}
server=

stop_server() {
    [ -n "$server" ] || return 0
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
    server=
}
trap stop_server EXIT
trap 'exit 1' INT TERM

say() {
    echo "demo-restore: $1"
}

fail() { # MESSAGE, then the logs that tell more, in $folder
    message=$1
    shift
    for log in "$@"; do
        tail -n 5 "$folder/$log" >&2
    done
    say "$message" >&2
    exit 1
}

probe() { # ENTRIES: of the clip's video, with spaces between
    ffprobe -v error -select_streams v:0 -show_entries "$1" -of csv=p=0 "$clip" 2>>"$folder/ffmpeg.log" |
        head -n 1 | tr ',' ' '
}

third() { # PIXELS: rounded down to an even number
    echo $(($1 / 3 & ~1))
}

find_clip() { # leaves $clip and $rung
    clip=${CLIP:-}
    if [ -z "$clip" ]; then
        mk/sample-video.sh || fail "no sample video: name a clip, make demo-restore CLIP=street.mp4"
        clip=$build/demo/vtest.avi
    fi
    size=$(probe stream=width,height)
    case $size in
    *[0-9]' '[0-9]*) ;;
    *) fail "CLIP: no video can be read from $clip" ffmpeg.log ;;
    esac
    rung=${RUNG:-$(third "${size% *}")x$(third "${size#* }")}
    if probe format=duration | awk -v max=$SECONDS_MAX '{ exit !($1 > max) }'; then
        say "of $clip the first $SECONDS_MAX seconds"
        ffmpeg -nostdin -v error -i "$clip" -t $SECONDS_MAX -map 0:v:0 -c copy \
            "$folder/clip.${clip##*.}" 2>>"$folder/ffmpeg.log" || fail "CLIP: cannot cut $clip" ffmpeg.log
        clip=$folder/clip.${clip##*.}
    fi
}

find_networks() { # leaves $files, one word each
    files=$(echo "$networks" | tr ',' ' ')
    for file in $files; do
        [ -r "$file" ] || fail "no restoration network $file: name one, NETWORKS=FILE.onnx"
    done
}

make_keys() {
    "$build/bin/cloud-server" keys new --folder "$keys" --name server &&
        "$build/bin/edge-agent" keys new --folder "$keys" --name edge &&
        "$build/bin/cloud-server" keys allow edge "$keys/edge.pub" --allow "$keys/allow" --stream street
}

wait_ready() { # NAME of the stream
    tries=0
    until grep -q 'module=server msg=ready' "$folder/$1-cloud-server.log"; do
        kill -0 "$server" 2>/dev/null || fail "cloud-server ended" "$1-cloud-server.log"
        tries=$((tries + 1))
        [ $tries -lt $((READY_SECONDS * 5)) ] || fail "cloud-server is not ready" "$1-cloud-server.log"
        sleep 0.2
    done
}

stream() { # NAME, then what to set at the server
    name=$1
    shift
    # Every word becomes two: --set WORD
    for word in "$@"; do
        set -- "$@" --set "$word"
        shift
    done
    "$build/bin/cloud-server" run --config deploy/cloud-server.yaml \
        --set "listen.address=tcp://127.0.0.1:$port" --set "keys.folder=$keys" \
        --set "keys.allow=$keys/allow" --set "models.0.folder=$MODEL" "$@" \
        2>"$folder/$name-cloud-server.log" &
    server=$!
    wait_ready "$name"
    timeout --foreground -k 10 $STREAM_SECONDS "$build/bin/edge-agent" run \
        --config deploy/edge-agent.yaml \
        --set "server.address=tcp://127.0.0.1:$port" --set "server.key=$keys/server.pub" \
        --set "keys.folder=$keys" --set cameras.0.name=street --set cameras.0.pace=fast \
        --set cameras.0.source.kind=file --set "cameras.0.source.path=$clip" \
        --set cameras.0.rung.fps=0 --set "cameras.0.rung.bitrate_kbps=$kbps" \
        --set "cameras.0.rung.width=${rung%x*}" --set "cameras.0.rung.height=${rung#*x}" \
        --set "answers.path=$folder/$name.jsonl" --summary "$folder/$name-summary.txt" \
        2>"$folder/$name-edge-agent.log" ||
        fail "edge-agent failed, or took longer than $STREAM_SECONDS s" "$name-edge-agent.log"
    stop_server
}

bitrates() { # around that of the streams
    for rate in $((kbps * 2 / 3)) "$kbps" $((kbps * 2)) $((kbps * 4)); do
        [ "$rate" -lt $KBPS_LEAST ] || echo "$rate"
    done | paste -s -d ,
}

plot() { # PICTURES of the clip, NETWORK
    name=$(basename "$2" .onnx)
    every=$((($1 + SCORED_PICTURES - 1) / SCORED_PICTURES))
    "$build/bin/cloud-server" eval -s "model=$MODEL" -s "data.pictures=$clip" -s "sizes=$rung" \
        -s "bitrates=$(bitrates)" -s "restore=none,bicubic,$name=$2" -s score_every=$every \
        -s "out=$folder/eval" >"$folder/eval.txt" 2>"$folder/eval.log" &&
        cp "$folder/eval/tail90.svg" "$folder/tail90.svg"
}

draw_readme() { # FRAME of pair.mp4, in few colours: half the bytes
    ffmpeg -nostdin -v error -i "$folder/pair.mp4" -i "$folder/tail90.svg" -filter_complex "
        [0:v]select=eq(n\,$1),scale=$PNG_WIDTH:-2:flags=area,split[pair][same];
        [same]palettegen[palette];
        [pair][palette]paletteuse=dither=none,format=rgb24[small];
        [1:v]scale=$PNG_WIDTH:-2:flags=area,format=rgb24[plot];
        [small][plot]vstack" \
        -frames:v 1 "$folder/readme.png" 2>>"$folder/ffmpeg.log"
}

value() { # NAME: of the figures
    tr ' ' '\n' <"$folder/figures.txt" | sed -n "s/^$1=//p"
}

rm -rf "$folder"
mkdir -p "$folder"
find_networks
find_clip
make_keys >"$folder/keys.log" 2>&1 || fail "no keys could be made" keys.log
rm "$folder/keys.log"

say "$clip at $rung, $kbps kbit/s, without restoration"
stream without models.0.restore.networks= models.0.restore.fallback=none
say "the same with restoration"
stream with "models.0.restore.networks=$networks"

say "what the detector says of the source, and both pictures side by side"
# About GOMP_SPINCOUNT see calm_threads in cloud-server/main.c.
# shellcheck disable=SC2086
GOMP_SPINCOUNT=1000 "$build/test/demo/restore_pair" "$folder/pair.mp4" "$MODEL" "$clip" "$rung" "$kbps" \
    "$folder/without.jsonl" "$folder/with.jsonl" $files \
    >"$folder/figures.txt" 2>"$folder/pair.log" || fail "the streams cannot be compared" pair.log

say "the same at other bitrates"
plot "$(value frames)" "$(value network)" || fail "cloud-server eval failed" eval.log
draw_readme "$(value tail_frame)" || fail "readme.png cannot be drawn" ffmpeg.log

echo
echo "both streams side by side:  $folder/pair.mp4"
echo "the tail over the bitrate:  $folder/tail90.svg (all figures: $folder/eval.txt)"
echo "a frame and the plot:       $folder/readme.png"
echo "answers as JSON lines:      $folder/without.jsonl, $folder/with.jsonl"
say "$(tail -n 1 "$folder/figures.txt")"
