#!/bin/sh
# Whether the figures that the server makes of probes hold, and what they cost, on the CamVid validation video (a
# detector and a segmenter) and vtest.avi (a detector), three rungs each; and how many hours it takes at 100, 300 and
# 1,000 kbit/s. Started by make bench-tail; tail_bench.c tells what is done.
#
# Of a rung it prints, for each quality of probes (CRF; * is the agent's) how far the exact figures are off when
# the golden model sees probes in place of the source; then, by number of probes, from 100 simulated streams (at
# 1000 probes 10): in how many of a hundred the 95 % interval holds the exact figure at the source, and in
# how many that which there would be if every frame were a probe (*); how wide it is and how far the figure
# itself is off from that at the source, both means.
#
# Last line:
#     tail: cover90=… width90=… cover99=… probes_ratio=… bits_share=…
#   cover90       part of the first ten streams, drawn at random and by uncertainty, at 30, 100, 300 and 1000
#                 probes, in which the interval of the 90 % tail holds; the worst rung's
#   width90       width of that interval at 300 probes drawn by uncertainty, mean of the first ten streams; the
#                 widest rung's
#   cover99       as cover90 for the 99 % tail, at 300 and 1000 probes; the worst rung's
#   probes_ratio  how many probes drawn by uncertainty give an interval of the 90 % tail as wide as 300 plain
#                 ones (random, and nothing known of how uncertain frames look: order statistics alone), as
#                 part of these; all streams, mean of all rungs
#   bits_share    part of all bits that went into probes, at the end of the first ten streams; the largest
set -eu

case $TEST_DATA in /*) data=$TEST_DATA ;; *) data=$PWD/$TEST_DATA ;; esac
pictures=$data/camvid/val/images

if [ ! -d "$pictures" ]; then
    echo "bench-tail: $pictures is missing (the CamVid validation video); set TEST_DATA" >&2
    exit 1
fi
exec "$B/test/bench/tail_bench" "$pictures" "$B/demo/vtest.avi"
