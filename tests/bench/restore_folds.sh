#!/bin/sh
# What restoration for an analytics network brings on streets that no network involved has seen: CamVid, with one
# sequence left out at a time. Started by make bench-restore-folds; hours on two cores.
#
# A fold leaves out one of the three sequences of the training set (0001TP, 0006R0, 0016E5: a picture a second). On
# the other two are trained, by the recipes of the networks that are shipped: the segmenter; then, for x1, x2
# and x4, a restorer that knows of no other network (generic) and one with that segmenter behind it (aware). All
# are scored on the sequence left out, whose pictures are sent as stills (docs/evaluate.md), at the rungs of
# make bench-restore. The validation video is of sequence 0016E5: the fold that leaves it out, and no other, is
# scored on the video as well. Put together are the counts of all these pictures, so each is in the table
# once, scored by networks none of which has seen its sequence. While they learn, every fourth picture
# left out is measured for the history; that decides nothing, as the last weights are those that are taken.
#
# The same command goes on after an interruption: trainings from their last checkpoint, evaluations with the arms
# that are not done. STEPS=3 tries the whole way in a folder of its own: so many steps each, few pictures, two
# bitrates. Last line:
#     restore-folds: frames=… class_tail_x4=… tail90_x4=… tail99_x4=… miou_x4=… class_tail_x2=… …
set -eu

build=$B
sequences='0001TP 0006R0 0016E5'
factors='1 2 4'
case $TEST_DATA in /*) data=$TEST_DATA ;; *) data=$PWD/$TEST_DATA ;; esac
camvid=$data/camvid
out=$build/bench-restore-folds${STEPS:+-$STEPS}
measure_every=${STEPS:+40}

for folder in train/images train/labels val/images val/labels; do
    if [ ! -d "$camvid/$folder" ]; then
        echo "bench-restore-folds: $camvid/$folder is missing (CamVid); set TEST_DATA" >&2
        exit 1
    fi
done

say() {
    echo "$(date +%H:%M) $sequence: $*"
}

# Links to what is learnt from and to what is left out, made anew each time.
link_sets() {
    rm -rf "$fold/learnt" "$fold/left_out"
    for kind in images labels; do
        mkdir -p "$fold/learnt/$kind" "$fold/left_out/$kind"
        for other in $sequences; do
            case $other in "$sequence") set=left_out ;; *) set=learnt ;; esac
            ln -s "$camvid/train/$kind/$other"_* "$fold/$set/$kind/"
        done
    done
}

# Into the folder NAME of the fold, the recipe's sets replaced; then more for train. A recipe that begins with
# other weights or learns from more would bring in what has seen the sequence.
train() { # NAME RECIPE
    name=$1 recipe=$2
    shift 2
    if grep -Eq '^(start|more|golden):' "$recipe"; then
        echo "bench-restore-folds: $recipe has start, more or golden, which may know the sequence left out" >&2
        return 1
    fi
    set -- "$@" -s "data.pictures=$fold/learnt/images" -s "validation.pictures=$fold/left_out/images"
    if grep -q '^  labels:' "$recipe"; then
        set -- "$@" -s "data.labels=$fold/learnt/labels" -s "validation.labels=$fold/left_out/labels" \
            -s "data.classes=$camvid/classes.txt" -s "validation.classes=$camvid/classes.txt"
    fi
    say "$name"
    "$build/bin/cloud-server" train -c "$recipe" "$@" -s "validation.every=${measure_every:-4}" \
        ${STEPS:+-s "steps=$STEPS"} -s "out=$fold/$name" -s "model.name=$name" >"$fold/$name.log" 2>&1 && return
    tail -n 5 "$fold/$name.log" >&2
    echo "bench-restore-folds: $sequence: training $name has ended early; the same command goes on" >&2
    return 1
}

# Side by side, as each computes with one thread.
train_restorers() { # FACTOR
    train "generic_x$1" "models/restore/generic_x$1.yaml" &
    generic=$! failed=false
    train "aware_x$1" "models/camvid_segment/restore/x$1.yaml" -s "analytics.model=$fold/segment/model" || failed=true
    wait $generic || failed=true
    if $failed; then exit 1; fi
}

evaluate() { # NAME IMAGES LABELS, then more for eval
    name=$1 images=$2 labels=$3
    shift 3
    networks=
    for factor in $factors; do
        for kind in generic aware; do
            networks=$networks,$kind=$fold/${kind}_x$factor/model/${kind}_x$factor.onnx
        done
    done
    say "$name"
    "$build/bin/cloud-server" eval -c tests/bench/restore/segment.yaml -s "data.pictures=$images" \
        -s "data.labels=$labels" -s "data.classes=$camvid/classes.txt" -s "model=$fold/segment/model" \
        -s sizes=full,1/2,1/4 -s codecs=h264 -s "restore=bicubic$networks" "$@" \
        ${STEPS:+-s bitrates=60,110 -s score_every=40} -s "out=$fold/$name" \
        >"$fold/$name.txt" 2>"$fold/$name.log" && return
    tail -n 5 "$fold/$name.log" >&2
    exit 1
}

scored=
for sequence in $sequences; do
    fold=$out/$sequence
    link_sets
    [ -d "$fold/segment" ] || rm -rf "$fold"/aware_x* # these were for another one
    train segment models/camvid_segment/train.yaml
    for factor in $factors; do
        train_restorers "$factor"
    done
    evaluate stills "$fold/left_out/images" "$fold/left_out/labels" -s stills=true
    scored="$scored $fold/stills"
done
evaluate video "$camvid/val/images" "$camvid/val/labels" # of the last sequence, with its fold's networks

echo
# shellcheck disable=SC2086 # a list of folders
python3 tests/bench/restore_folds.py $scored "$fold/video"
