#!/bin/sh
# Makes a virtual environment with PyTorch. Its wheels for Linux on x86 are built for CUDA, and cannot be
# imported without most of CUDA's libraries: the list below is what `import torch` needs, 2.5 GB to fetch
# and 4.1 GB on disk. What pip would add (triton, cusolver, bindings) is another 1.3 GB that a processor
# alone has no use for. Newest of October 2026; faster than Debian's 1.13.1 (docs/results.md).
#
#     train-venv.sh FOLDER
set -eu

folder=$1
packages="torch==2.15.0 numpy filelock fsspec jinja2 markupsafe mpmath==1.3.0 networkx sympy typing_extensions
    nvidia-cublas==13.4.1.3 nvidia-cuda-cupti==13.2.86 nvidia-cuda-nvrtc==13.2.86
    nvidia-cuda-runtime==13.2.86 nvidia-cudnn-cu13==9.26.0.51 nvidia-cufft==12.2.0.57
    nvidia-cufile==1.17.1.22 nvidia-cusparse==12.7.10.12 nvidia-cusparselt-cu13==0.8.1
    nvidia-nccl-cu13==2.30.7 nvidia-nvjitlink==13.5.37 nvidia-nvshmem-cu13==3.7.2"

fail() {
    echo "train-venv: failed; it needs Python's torch and numpy in $folder" >&2
    exit 1
}

echo "train-venv: fetching PyTorch into $folder (once, 2.5 GB)"
python3 -m venv "$folder"
# $packages is meant to split into words.
# shellcheck disable=SC2086
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps $packages || fail
"$folder/bin/python" -c 'import torch' || fail
