#!/bin/sh
# Checks who includes whom: arrows only downwards (docs of the folders: README.md). Reads the include
# lines; prints each one that breaks a rule, with the reason.
set -eu

broken=0
report() { # the lines found, why they are wrong
    [ -n "$1" ] || return 0
    printf '%s\n' "$1" | sed "s|\$| [$2]|"
    broken=1
}

# Folder, forbidden beginnings of included names, why.
rule() {
    report "$(grep -rnE "^#include \"($2)" --include='*.[ch]' "$1" || true)" "$3"
}

server='analyse/|control/|devices/|evaluate/|ingest/|learn/|report/'
engine='device\.h|pixels\.h|tensor/|graph/|onnx/|ops/|passes/|cpu/|lab/'

rule common "$server|$engine" 'common/ knows neither daemon nor the engine'
rule common/base 'config/|net/|media/' 'base/ stands on nothing of ours'
rule common/config 'net/|media/' 'config/ stands on base/ only'
rule common/media 'net/' 'media/ stands on config/ and base/'
rule common/net 'media/' 'net/ stands on config/ and base/'
rule kernels "config/|net/|media/|$server" 'kernels/ knows base/ only'
rule kernels/tensor 'graph/|onnx/|ops/|passes/|cpu/' 'a tensor knows nothing of the engine'
rule kernels/graph 'passes/|cpu/|onnx/' 'a graph knows no pass, device or file format'
rule kernels/ops 'passes/|cpu/|onnx/' 'an op knows no pass, device or file format'
rule kernels/onnx 'passes/|cpu/' 'a file format knows no pass or device'
rule kernels/passes 'cpu/|onnx/' 'a pass knows no device or file format'
rule edge-agent "$server|$engine" 'edge-agent stands on common/ and proto/'
rule cloud-server 'ops/|passes/|cpu/|lab/' 'a daemon sees models and devices, not how they work'
rule cloud-server/analyse 'control/|devices/|ingest/|report/' 'analyse/ knows no worker and no session'
rule cloud-server/control 'devices/|ingest/|report/' 'control/ knows no worker and no session'
rule cloud-server/devices 'ingest/|report/' 'devices/ knows no session'

# Folder (as grep knows it) that alone may use a library, its headers, why.
library() {
    report "$(grep -rnE "^#include <($2)" --include='*.[ch]' common kernels edge-agent cloud-server |
        grep -v "^$1/" || true)" "$3"
}
library common/media 'libav|libsw' 'FFmpeg is used in common/media/ only'
library 'kernels/\(cpu\|lab\)' '(oneapi/)?dnnl' \
    'oneDNN is used in kernels/cpu/, and in kernels/lab/ to compare with it'
library kernels/cuda 'cuda_|cudnn|cublas' 'CUDA is used in kernels/cuda/ only'
library common/config 'yaml' 'libyaml is used in common/config/ only'
library common/net 'microhttpd' 'libmicrohttpd is used in common/net/ only'

exit $broken
