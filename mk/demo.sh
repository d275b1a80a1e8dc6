#!/bin/sh
# Runs cloud-server and edge-agent on loopback with the shipped configurations and shows a live table.
#   DEMO_SECONDS=30   stops after that time (default: at the end of the clip)
# Leaves answers as JSON lines and an annotated MP4 in build/demo/results.
set -eu

build=${B:-build}
folder=$build/demo
results=$folder/results
keys=$folder/keys
port=${DEMO_PORT:-5570}
mkdir -p "$folder"
rm -rf "$results"
mkdir -p "$results"

if mk/sample-video.sh; then
    source="cameras.0.source.path=$folder/vtest.avi"
    kind="file"
else
    echo "demo: going on with a generated moving picture (it has no people to find)"
    source=cameras.0.source.seconds=30
    kind="test"
fi

# Keys: the server's, the agent's, and the server's word that this agent may stream as "street".
[ -f "$keys/server.key" ] || "$build/bin/cloud-server" keys new --folder "$keys" --name server >/dev/null
[ -f "$keys/edge.key" ] || "$build/bin/edge-agent" keys new --folder "$keys" --name edge >/dev/null
"$build/bin/cloud-server" keys allow edge "$keys/edge.pub" --allow "$keys/allow" --stream street \
    >/dev/null

"$build/bin/cloud-server" run --config deploy/cloud-server.yaml \
    --set "listen.address=tcp://127.0.0.1:$port" \
    --set "keys.folder=$keys" --set "keys.allow=$keys/allow" \
    --set "models.0.folder=models/street_det" \
    --set "answers.path=$results/server-answers.jsonl" \
    --set "record.folder=$results" 2>"$results/cloud-server.log" &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true' EXIT INT TERM

# The agent waits for the server by itself; this only sees that the server has not failed at once.
sleep 0.3
if ! kill -0 $server 2>/dev/null; then
    cat "$results/cloud-server.log" >&2
    echo "demo: cloud-server did not start" >&2
    exit 1
fi

status=0
"$build/bin/edge-agent" run --live ${DEMO_SECONDS:+--seconds "$DEMO_SECONDS"} \
    --config deploy/edge-agent.yaml \
    --set "server.address=tcp://127.0.0.1:$port" --set "server.key=$keys/server.pub" \
    --set "keys.folder=$keys" \
    --set "cameras.0.name=street" \
    --set "cameras.0.source.kind=$kind" --set "$source" \
    --set "answers.path=$results/answers.jsonl" --summary "$results/summary.txt" \
    2>"$results/edge-agent.log" || status=$?

kill -TERM $server 2>/dev/null || true
wait $server || true
trap - EXIT INT TERM

summary=$(cat "$results/summary.txt" 2>/dev/null || true)
if [ "$status" -ne 0 ] || [ -z "$summary" ]; then
    tail -n 20 "$results/cloud-server.log" "$results/edge-agent.log" >&2
    echo "demo: failed; the logs are in $results" >&2
    exit 1
fi
echo
echo "answers as JSON lines:  $results/answers.jsonl"
for video in "$results"/*.mp4; do
    [ -f "$video" ] && echo "annotated video:        $video"
done
echo "demo: $summary"
