#!/bin/sh
# Every static check over the whole tree; runs all of them even when the first one finds something. A
# finding is one line "file:line: …". Last line: lint: files=… findings=…
#   B            build folder with the generated headers
#   LINT_FLAGS   preprocessor flags for clang-tidy
#
# Lists of files are meant to split into words; our names have no spaces.
# shellcheck disable=SC2086
set -u

LINT_OUT=${B:-build}/lint
export LINT_OUT
report=$LINT_OUT/report
rm -rf "$LINT_OUT"
mkdir -p "$LINT_OUT"

LINES_MAX=900 # of a source file; the house style asks for a few hundred
parts="common kernels edge-agent cloud-server tests proto models mk deploy docs .ci Makefile README.md"
sources=$(find common kernels edge-agent cloud-server tests -name '*.c' | sort)
headers=$(find common kernels edge-agent cloud-server tests -name '*.h')
scripts=$(grep -rlIE '^#!/(bin/sh|usr/bin/env bash)' mk tests deploy .ci)

# The text files of all parts; the fuzz targets' seeds are malformed on purpose.
search() {
    grep -rnI --exclude-dir=corpus "$@" $parts
}

{
    mk/includes.sh
    search -E '[[:space:]]+$' | sed 's/$/ [white space at the end]/'
    # Written in two halves, so that this line is not found itself.
    search -wE 'TO''DO|FIX''ME|X''XX|HA''CK' | sed 's/$/ [unfinished]/'
    wc -l $sources $headers | awk -v max=$LINES_MAX '$2 != "total" && $1 > max {
        print $2 ":" $1 ": longer than " max " lines" }'
    shellcheck -x -f gcc $scripts
} >"$report" 2>&1

# Two at a time; a header's finding comes with every file that includes it.
printf '%s\n' $sources | LINT_FLAGS=$LINT_FLAGS xargs -n 1 -P 2 mk/tidy.sh
cat "$LINT_OUT"/*.tidy >"$LINT_OUT/tidy"
grep -E ':[0-9]+: (warning|error): ' "$LINT_OUT/tidy" | sort -u >>"$report"

findings=$(grep -c . "$report")
if [ "$findings" -gt 0 ]; then
    cat "$report"
    echo "lint: how clang-tidy came to its findings: $LINT_OUT/tidy"
fi
echo "lint: files=$(printf '%s\n' $sources $scripts | wc -l) findings=$findings"
[ "$findings" -eq 0 ]
