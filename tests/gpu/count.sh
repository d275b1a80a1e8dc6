# shellcheck shell=sh
# count: read by test.sh and parts.sh.

count() { # of one kind, in the files that are named
    kind=$1
    shift
    cat /dev/null "$@" 2>/dev/null |
        sed -n "s/^\[ *$kind *\] \([0-9][0-9]*\) test(s).*/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}

summary() {
    echo "$(count PASSED "$@") passed, $(count FAILED "$@") failed, $(count SKIPPED "$@") skipped"
}
