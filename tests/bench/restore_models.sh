#!/bin/sh
# Makes model folders of the third-party networks that restoration is measured with, which are not in this
# repository: $B/models/NAME, of the card in tests/bench/restore and the network in the test data. Started by make
# restore-models, which training for these networks needs, and by make bench-restore.
set -eu

for name in yolox_nano twinlitenet; do
    network=$TEST_DATA/models/$name.onnx
    if [ ! -f "$network" ]; then
        echo "restore-models: $network is missing; set TEST_DATA" >&2
        exit 1
    fi
    mkdir -p "$B/models/$name"
    cp "tests/bench/restore/$name.card.yaml" "$B/models/$name/card.yaml"
    cp models/street_det/sample.jpg "$network" "$B/models/$name/"
    "$B/bin/cloud-server" model check "$B/models/$name"
done
