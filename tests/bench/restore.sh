#!/bin/sh
# What restoration for an analytics network brings, with the networks that are shipped, on the CamVid
# validation video (101 frames, 15 a second, encoded by the product's own encoder): the segmenter against labels,
# beside the same tuned for what is received; the detector, and two networks of other people's, against what
# they say of the source. Then what the networks cost, and a stream in real time. Started by make bench-restore;
# reports and plots go to $B/bench-restore. Last line:
#     restore: bits_saved_mean=… bits_saved_tail90=… class_tail_x4=… tail90_x4=… tail99_x4=… miou_x4=…
#     bits_saved_detect=…
set -eu

build=$B
out=$build/bench-restore
generic=models/restore/generic_
fsrcnn=$TEST_DATA/models/fsrcnn_x2.onnx # generic too, as others have it
case $TEST_DATA in /*) data=$TEST_DATA ;; *) data=$PWD/$TEST_DATA ;; esac
video=$data/camvid/val/images

if [ ! -d "$video" ]; then
    echo "bench-restore: $video is missing (the CamVid validation video); set TEST_DATA" >&2
    exit 1
fi
mkdir -p "$out"

# The networks of a folder as one way to restore.
way() { # NAME PREFIX
    for file in "$2"x[1-4].onnx; do
        printf ',%s=%s' "$1" "$file"
    done
}

# Twice, as an arm is compared with one other: with generic restoration, of which only comparisons are printed,
# and with bicubic, from the same results.
evaluate() { # MODEL CONFIG NETWORKS WAYS, then more for eval
    model=$1 config=$2 networks=$3 ways=$4 name=${1##*/}
    shift 4
    set -- -c "tests/bench/restore/$config" -s "data.pictures=$video" -s "model=$model" \
        -s "restore=$ways$(way generic $generic)$(way aware "$networks/")" \
        -s "out=$out/$name" "$@"
    printf '\n== %s: restored for it, beside generic restoration of the same size ==\n' "$name"
    "$build/bin/cloud-server" eval "$@" -s baseline=generic >"$out/$name-generic.txt"
    grep -E '^(arm +against|h264-[0-9x]+-[0-9]+-aware .* (better|unclear|worse))' "$out/$name-generic.txt"
    printf '\n== %s ==\n' "$name"
    "$build/bin/cloud-server" eval "$@"
}

tests/bench/restore_models.sh
labels="data.labels=$data/camvid/val/labels" classes="data.classes=$data/camvid/classes.txt"
printf '\n== camvid_segment: restored for it, tuned, and both ==\n'
"$build/bin/cloud-server" eval -c tests/bench/restore/segment.yaml -s "data.pictures=$video" -s "$labels" \
    -s "$classes" -s model=models/camvid_segment -s tuned=tuned=models/camvid_segment_tuned -s codecs=h264 \
    -s "restore=bicubic$(way aware models/camvid_segment/restore/)" -s "out=$out/camvid_segment"
evaluate models/camvid_segment segment.yaml models/camvid_segment/restore "bicubic,fsrcnn=$fsrcnn" \
    -s "$labels" -s "$classes"
evaluate models/street_det detect.yaml models/street_det/restore bicubic
evaluate "$build/models/yolox_nano" detect.yaml models/restore/yolox_nano bicubic -s codecs=h264
evaluate "$build/models/twinlitenet" areas.yaml models/restore/twinlitenet bicubic

printf '\n== cost ==\n'
for model in camvid_segment street_det; do
    "$build/test/bench/restore_cost" 480x360 models/$model models/$model/restore/*.onnx
done
for name in yolox_nano twinlitenet; do
    "$build/test/bench/restore_cost" 480x360 "$build/models/$name" models/restore/$name/*.onnx
done

printf '\n== a stream, x2 in real time ==\n'
real_time=0
"$build/test/bench/restore_stream" card models/camvid_segment || real_time=1

printf '\n'
python3 tests/bench/restore_figures.py "$out"
exit $real_time
