#!/bin/sh
# Prints docs/configure.md: a head by hand, then what the option tables of both programs say. A test
# compares the page in the tree with this.
set -eu
build=${B:-build}
agent=$("$build/bin/edge-agent" manual) # on its own, so that a failure ends this
server=$("$build/bin/cloud-server" manual)

cat <<'HEAD'
# Configuration

Written by `make docs` from the option tables that the programs themselves read: do not edit.

Each daemon has one YAML file, given by `--config`. Every key has a working default but those marked
*required*. To start from a file with every key in it, commented: `deploy/edge-agent.yaml` and
`deploy/cloud-server.yaml`, or what `edge-agent example` and `cloud-server example` print.

- `edge-agent check FILE` and `cloud-server check FILE` name every mistake at once, each with file, line,
  value, what is allowed and the nearest name, and exit with 1 (0 when all is well).
- `--set KEY=VALUE` puts a value over the file's, and may be given several times: `--set log=debug`,
  `--set cameras.0.rung.fps=5`. Elements of a list count from 0; the next free number adds one.
- `run --print-config` shows every value that holds and whether it came from the file (with its line),
  from `--set` or from the table.
- Anchors, aliases and tags of YAML are refused, as is a file above 1 MiB. No value runs a command.
- Relative paths start in the folder that the program was started in.
- Secrets are in files of their own (`keys`), never in these.

On SIGHUP a running daemon reads its file again: all of it, or after a mistake nothing
([operate.md](operate.md#reload)). The column *a change* tells what each key takes then:

| a change | what a reload does |
| --- | --- |
| at once | the new value holds, nothing is interrupted |
| part | what the key belongs to (a camera, a page, a file) starts again with it, the rest goes on |
| restart | a warning names the key; the value holds when the daemon is started again |

A model's card and what `cloud-server eval` and `cloud-server train` read (`deploy/eval.yaml`,
`deploy/train.yaml`) are YAML of the same kind, and those that read them name every mistake before they
begin; nothing reads them again later. eval and train know `--set`, too, and train `--print-config`.
HEAD

# One page, so each program's title becomes a section of it.
printf '\n%s\n\n%s\n' "$agent" "$server" | sed 's/^#/##/'
