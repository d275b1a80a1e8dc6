#!/bin/sh
# Checks who includes whom: arrows only downwards (docs of the folders: README.md). Reads the include
# lines; prints each line that breaks a rule.
set -eu

broken=0
rule() { # folder, forbidden include pattern, why
    found=$(grep -rnE "^#include \"($2)" --include='*.[ch]' "$1" || true)
    [ -z "$found" ] && return
    printf '%s\n  %s\n' "$found" "$3"
    broken=1
}

rule common 'edge-agent|analyse/|devices/|ingest/|report/|graph/|onnx/|ops/|passes/|cpu/|device\.h|tensor/' \
    'common/ knows neither daemon nor the engine'
rule common/base 'config/|net/|media/' 'base/ stands on nothing of ours'
rule common/config 'net/|media/' 'config/ stands on base/ only'
rule common/media 'net/' 'media/ stands on config/ and base/'
rule common/net 'media/' 'net/ stands on config/ and base/'
rule kernels 'config/|net/|media/|analyse/|devices/|ingest/|report/' 'kernels/ knows base/ only'
rule edge-agent 'graph/|onnx/|ops/|passes/|cpu/|device\.h|tensor/|analyse/|devices/|ingest/|report/' \
    'edge-agent stands on common/ and proto/'
rule kernels/graph 'passes/|cpu/|onnx/' 'a graph knows no pass, device or file format'
rule kernels/ops 'passes/|cpu/|onnx/' 'an op knows no pass, device or file format'

ffmpeg=$(grep -rlE '^#include <lib(av|sw)' --include='*.[ch]' common kernels edge-agent cloud-server |
    grep -v '^common/media/' || true)
[ -z "$ffmpeg" ] || { printf '%s\n  FFmpeg is used in common/media/ only\n' "$ffmpeg"; broken=1; }
dnnl=$(grep -rlE '^#include .*dnnl' --include='*.[ch]' common kernels edge-agent cloud-server |
    grep -v '^kernels/cpu/' || true)
[ -z "$dnnl" ] || { printf '%s\n  oneDNN is used in kernels/cpu/ only\n' "$dnnl"; broken=1; }
exit $broken
