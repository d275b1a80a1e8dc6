# shellcheck shell=sh
# place: read by test.sh and bench.sh. Unpacks the bundle in $bundle, and finds cuDNN and cuBLASLt for it.
#
#     bundle=$1
#     . tests/gpu/place.sh
#
# Leaves bundle (where it is unpacked, which the next call finds there), bin (programs with kernels-cuda.so beside them),
# device (what the GPU is) and libraries (folders, for LD_LIBRARY_PATH of these programs alone), or says what is
# missing and gives status 1.

# shellcheck disable=SC2154  # bundle is the reader's
OPEN_SECONDS=60
BUILD_SECONDS=240
if [ ! -s "$bundle/SHA256SUMS" ]; then
    echo "gpu: $bundle is no bundle; 'make gpu-bundle' makes one"
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

# To the folder that is named. Without xz, Python knows how.
unpack() {
    mkdir -p "$1" && (cd "$bundle" && sha256sum --quiet -c SHA256SUMS && cp -R models models.txt content.tar.xz "$1/") &&
        (cd "$1" && { tar -xJf content.tar.xz 2>/dev/null || python3 -m tarfile -e content.tar.xz .; } &&
            rm content.tar.xz && : >unpacked)
}

open_device() {
    device=$(LD_LIBRARY_PATH=$libraries timeout -k 5 "$OPEN_SECONDS" "$bin/plan_time" cuda 2>&1)
}

# Built where it is to run, for its own architecture alone, against the engine in the bundle's programs.
build_kernels() {
    echo "gpu: building kernels-cuda.so here"
    arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)
    timeout -k 5 "$BUILD_SECONDS" make --no-print-directory -j "$(nproc)" cuda B="$bundle/build" \
        CUDA_ENGINE="$bin/plan_time" ${arch:+CUDA_ARCHS="$arch"} &&
        cp "$bundle/build/lib/kernels-cuda.so" "$bin/"
}

unpacked=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/runespoor/gpu-bundle-$(sha256sum "$bundle/SHA256SUMS" | cut -c1-16)
if [ ! -e "$unpacked/unpacked" ] && ! unpack "$unpacked"; then
    echo "gpu: $bundle cannot be unpacked to $unpacked"
    return 1
fi
bundle=$unpacked
bin=$bundle/bin
libraries=$(find_libraries)
libraries=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if ! open_device; then
    echo "gpu: $device"
    case $device in
    *"cannot load"*) build_kernels || return 1 ;;
    *) return 1 ;;
    esac
    if ! open_device; then
        echo "gpu: $device"
        return 1
    fi
fi
echo "gpu: $device; libraries in $libraries"
