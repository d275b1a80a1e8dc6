#!/bin/sh
# What somebody with a bare Debian 12 gets: makes one (debootstrap, with git, make and ca-certificates),
# clones this repository's HEAD into it, and runs both commands of the README there. Needs root and a
# network; takes some minutes. Prints times, megabytes and, last:
#   bare: first_answer_s=… second_s=… packages_mb=… disk_mb=… test_s=… tests="…"
set -eu

build=${B:-build}
mkdir -p "$build"
root=$(mktemp -d "$(realpath "$build")/bare-XXXXXX")
clean() {
    umount "$root/dev" "$root/proc" 2>/dev/null || true
    mountpoint -q "$root/dev" || mountpoint -q "$root/proc" || rm -rf "$root"
}
trap clean EXIT
trap 'exit 130' INT TERM

debootstrap --variant=minbase --include=git,make,ca-certificates bookworm "$root" >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; exit 1; }
rm -f "$root.log"
disk_before=$(du -sm --one-file-system "$root" | cut -f 1)
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
git clone -q --bare . "$root/srv/runespoor.git"

cat >"$root/root/visit" <<'VISIT'
set -eu
cd /root
now() { date +%s.%N; }
since() { echo "$1 $(now)" | awk '{ printf "%.1f", $2 - $1 }'; }
first_answer() { # how long make demo takes to its first answered frame
    begin=$1
    DEMO_SECONDS=10 make -C runespoor demo >demo.log 2>&1 &
    demo=$!
    until [ -s runespoor/build/demo/results/answers.jsonl ]; do
        kill -0 $demo || { cat demo.log >&2; exit 1; }
        sleep 0.05
    done
    since "$begin"
    wait $demo || { cat demo.log >&2; exit 1; }
}
begin=$(now)
git clone -q /srv/runespoor.git runespoor
first=$(first_answer "$begin")
echo "first $first"
tail -n 1 demo.log >&2
rm -rf runespoor/build/demo/results
second=$(first_answer "$(now)")
echo "second $second"
begin=$(now)
make -s -C runespoor test >test.log 2>&1 || { grep -A 20 FAIL test.log >&2; exit 1; }
echo "test $(since "$begin")"
tail -n 1 test.log >&2
echo "tests $(tail -n 1 test.log)"
VISIT
env -i PATH="$PATH" HOME=/root LC_ALL=C.UTF-8 chroot "$root" sh /root/visit >"$root/root/figures"

figure() { sed -n "s/^$1 //p" "$root/root/figures"; }
packages_mb=$(du -sm "$root/var/cache/apt/archives" | cut -f 1)
disk_mb=$(($(du -sm --one-file-system "$root" | cut -f 1) - disk_before))
echo "bare: first_answer_s=$(figure first) second_s=$(figure second) packages_mb=$packages_mb" \
    "disk_mb=$disk_mb test_s=$(figure test) tests=\"$(figure tests)\""
