# shellcheck shell=sh
# place: read by test.sh and bench.sh. Finds cuDNN and cuBLASLt for the bundle in $bundle.
#
#     bundle=$1
#     . tests/gpu/place.sh
#
# Leaves bin (programs with kernels-cuda.so beside them), device (what the GPU is) and libraries (folders, for
# LD_LIBRARY_PATH of these programs alone), or says what is missing and gives status 1.

# shellcheck disable=SC2154  # bundle is the reader's
bin=$bundle/bin
if [ ! -s "$bundle/SHA256SUMS" ]; then
    echo "gpu: $bundle is no bundle; 'make gpu-bundle' makes one" >&2
    return 1
fi

# Folders that hold the libraries that kernels-cuda.so asks for, by the name it asks for: those of the
# toolkit, of the loader, and of Python's packages.
find_libraries() {
    python=$(python3 -c 'import site, sys; print("\n".join(site.getsitepackages() + sys.path))' 2>/dev/null)
    needed=$(readelf -d "$bin/kernels-cuda.so" 2>/dev/null | sed -n 's/.*NEEDED.*\[\(libcu[^]]*\)\].*/\1/p')
    for name in ${needed:-libcudnn.so.9 libcublasLt.so.13}; do
        {
            printf '%s\n' "${CUDA:-/usr/local/cuda}/lib64" /opt/cuda/lib64
            ldconfig -p 2>/dev/null | sed -n 's|.* => \(.*\)/libcu[a-zA-Z]*\.so.*|\1|p'
            echo "$python" | sed '/^$/d' | while read -r folder; do
                ls -d "$folder"/nvidia/*/lib "$folder"/nvidia/*/lib64 2>/dev/null
            done
        } | while read -r folder; do
            [ -e "$folder/$name" ] && echo "$folder" && break
        done
    done | sort -u | paste -sd: -
}

# Built where it is to run, for its own architecture alone.
build_kernels() {
    echo "gpu: building kernels-cuda.so here"
    make --no-print-directory cuda B="$bundle/build" CUDA_ARCHS="$(
        nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)" &&
        cp "$bundle/build/lib/kernels-cuda.so" "$bin/"
}

if [ ! -d "$bundle/data" ]; then
    (cd "$bundle" && sha256sum --quiet -c SHA256SUMS && tar -xzf data.tar.gz) || return 1
fi
libraries=$(find_libraries)
libraries=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if ! device=$(LD_LIBRARY_PATH=$libraries "$bin/plan_time" cuda 2>&1); then
    echo "gpu: $device"
    build_kernels || return 1
    if ! device=$(LD_LIBRARY_PATH=$libraries "$bin/plan_time" cuda 2>&1); then
        echo "gpu: $device" >&2
        return 1
    fi
fi
echo "gpu: $device; libraries in $libraries"
