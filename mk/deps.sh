#!/bin/sh
# Installs the given Debian packages that are not installed yet, and says which. Quiet and quick when
# nothing is missing.
set -eu

missing=
for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "deps: these packages are missing:$missing" >&2
    echo "deps: run as root:  apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "deps: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# $missing and $as_root are meant to split into words.
# shellcheck disable=SC2086
install() {
    $as_root apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1
}
# The package lists may be missing or old: fetch them and try once more.
if ! install && ! { $as_root apt-get update -q >"$log" 2>&1 && install; }; then
    tail -n 15 "$log" >&2
    echo "deps: installing failed; without a network, install by hand:$missing" >&2
    exit 1
fi
