#!/bin/sh
# Fetches the sample video once: vtest.avi out of Debian's package opencv-doc (96 MB to download, 8 MB
# kept). Exit status 1 when it cannot be had; then says what to put where.
set -eu

folder=${B:-build}/demo
video=$folder/vtest.avi
[ -s "$video" ] && exit 0
mkdir -p "$folder"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch" # apt drops its privileges to download

echo "demo: fetching the sample video (package opencv-doc, 96 MB, once)"
if (cd "$scratch" && apt-get download -q opencv-doc >log 2>&1) &&
    dpkg-deb --fsys-tarfile "$scratch"/opencv-doc_*.deb |
    tar -xO --wildcards '*/vtest.avi' >"$video.part" 2>/dev/null && [ -s "$video.part" ]; then
    mv "$video.part" "$video"
    exit 0
fi
rm -f "$video.part"
tail -n 3 "$scratch/log" >&2 2>/dev/null || true
cat >&2 <<TEXT
demo: the sample video cannot be downloaded. Put any street video with people at
demo:     $video
demo: (vtest.avi of OpenCV's samples is the one meant).
TEXT
exit 1
