#!/bin/sh
# check-cuda.sh BACK_END ARCHIVE…: whether a program that holds all of the archives can load the back end:
# it shows cuda_class and nothing else, and what no library gives it, the archives do. A program may stand in
# their place. Sanitizers have names of their own, which the program's has.
set -eu
back_end=$1
shift

shown=$(nm -D --defined-only "$back_end" | awk '$3 !~ /^__odr_asan/ { print $3 }')
if [ "$shown" != cuda_class ]; then
    echo "$back_end should show cuda_class alone, and shows:" "$shown" >&2
    exit 1
fi

# What libraries give carries their version.
given=$(mktemp)
trap 'rm -f "$given"' EXIT
nm --defined-only "$@" | awk 'NF == 3 && $2 ~ /[A-TV-Z]/ { print $3 }' | sort -u >"$given"
missing=$(nm -D --undefined-only "$back_end" | awk '$1 == "U" && $2 !~ /@|^__(asan|ubsan|tsan|sanitizer)_/ { print $2 }' | sort -u | comm -23 - "$given")
if [ -n "$missing" ]; then
    echo "$back_end asks for what neither libraries nor the engine have:" "$missing" >&2
    exit 1
fi
