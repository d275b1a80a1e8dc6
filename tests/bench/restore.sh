#!/bin/sh
# What restoration for an analytics network brings, with the networks that are shipped, on the CamVid
# validation video (101 frames, 15 a second, encoded by the product's own encoder): the segmenter against labels;
# two detectors and a network for lanes against what they say of the source. Then what the networks cost, and a
# stream in real time. Started by make bench-restore; the tables go to $B/bench-restore. Last line:
#     restore: bits_saved_mean=… bits_saved_tail90=… class_tail_x4=… tail90_x4=… tail99_x4=… miou_x4=…
#     bits_saved_detect=…
set -eu

build=$B
out=$build/bench-restore
video=$TEST_DATA/camvid/val/images
generic=models/restore
case $TEST_DATA in /*) data=$TEST_DATA ;; *) data=$PWD/$TEST_DATA ;; esac

if [ ! -d "$video" ]; then
    echo "bench-restore: $video is missing (the CamVid validation video); set TEST_DATA" >&2
    exit 1
fi
mkdir -p "$out"

# A model folder of a third party's network: our card beside a link to it.
make_model() { # NAME
    mkdir -p "$out/models/$1"
    ln -sf "$data/models/$1.onnx" "$out/models/$1/$1.onnx"
    cp "tests/bench/restore/$1.card.yaml" "$out/models/$1/card.yaml"
}

# The networks of a folder as one way to restore: NAME=FILE for each.
networks() { # NAME PREFIX
    for file in "$2"x[1-4].onnx; do
        printf ',%s=%s' "$1" "$file"
    done
}

evaluate() { # NAME CONFIG MODEL PREFIX, then more for eval
    name=$1 config=$2 model=$3 prefix=$4
    shift 4
    echo
    echo "== $name =="
    "$build/bin/cloud-server" eval -c "tests/bench/restore/$config" -s "data.pictures=$video" \
        -s "model=$model" -s "restore=bicubic$(networks generic $generic/generic_)$(networks aware "$prefix")" \
        -s "out=$out/$name" "$@"
}

make_model yolox_nano
make_model twinlitenet

evaluate segment segment.yaml models/camvid_segment models/camvid_segment/restore/ \
    -s "data.labels=$data/camvid/val/labels" -s "data.classes=$data/camvid/classes.txt"
evaluate street_det detect.yaml models/street_det models/street_det/restore/
evaluate yolox_nano detect.yaml "$out/models/yolox_nano" $generic/yolox_nano_
evaluate twinlitenet areas.yaml "$out/models/twinlitenet" $generic/twinlitenet_

echo
"$build/test/bench/restore_cost" 480x360 models/camvid_segment models/camvid_segment/restore/*.onnx
"$build/test/bench/restore_cost" 480x360 models/street_det models/street_det/restore/*.onnx

python3 tests/bench/restore_figures.py "$out"
