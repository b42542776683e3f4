#!/bin/sh
# The tmux orchestrator's story: projects 60, 66 and 67 share one slot, each has a tmux session of its own, and the next
# one starts only when the last one's tmux session and all its processes are seen to be gone.
#
#   examples/tmux-orchestrator.sh
#
# Needs `sessiond` and `sessionctl` in PATH (cargo build --bins; PATH=target/debug:$PATH), and tmux. It uses a server and a
# tmux server of its own in a temporary directory, and leaves nothing.
set -eu

directory=$(mktemp -d)
tmux_socket=$directory/tmux
export SESSIOND_ADDR=unix:$directory/sessiond.sock

clean_up() {
    tmux -S "$tmux_socket" kill-server 2>/dev/null || true
    [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$directory"
}
trap clean_up EXIT

cat >"$directory/sessiond.toml" <<CONFIG
[pools.projects]
max_sessions = 1
when_full = "wait"
CONFIG
sessiond serve --config "$directory/sessiond.toml" --data-dir "$directory/data" --listen "$SESSIOND_ADDR" \
    2>"$directory/log" &
server=$!
until sessionctl session ls >/dev/null 2>&1; do sleep 0.1; done

# A project waits for the slot, gets a tmux session, and has the session adopted: from then on it cannot outlive the
# project. What runs in it here ignores hangups and TERM, as a stuck agent does.
start() {
    sessionctl session wait --key "$1" --for active >/dev/null
    tmux -S "$tmux_socket" new-session -d -s "$1" 'trap "" HUP TERM; while :; do sleep 1; done'
    sessionctl resource adopt --key "$1" --tmux "$1" --socket "$tmux_socket" >/dev/null
    echo "$1 runs in tmux"
}

running() {
    tmux -S "$tmux_socket" list-sessions -F '#{session_name}' 2>/dev/null | tr '\n' ' '
}

for project in project-60 project-66 project-67; do
    sessionctl session open --key "$project" --pool projects --wait-for-slot 10m >/dev/null
done

for project in project-60 project-66 project-67; do
    start "$project"
    [ "$(running)" = "$project " ] || { echo "two projects at once: $(running)" >&2; exit 1; }
    # It is over: its record says so at once, and the next one waits until nothing of it is left.
    sessionctl session end "$project" --reason completed >/dev/null
    sessionctl session wait --key "$project" --for released >/dev/null
    [ -z "$(running)" ] || { echo "$project outlived its end: $(running)" >&2; exit 1; }
    echo "$project is over, and nothing of it is left"
done
