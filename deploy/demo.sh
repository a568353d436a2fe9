#!/bin/sh
# The rehearsal ingress and the service that watches it, together; Ctrl-C ends both. Run by `make demo`.
set -eu
prober=${PROBER:-prober}
directory=.demo
listen=127.0.0.1:9859
mkdir -p "$directory"
# What an earlier demo announced must not be taken for this one's. (One that runs has its log open, and keeps it.)
rm -f "$directory/lab.log"

"$prober" lab --directory "$directory" >"$directory/lab.log" 2>&1 &
lab=$!
serve=
finish() {
  trap - EXIT HUP INT TERM
  [ -z "$serve" ] || kill "$serve" 2>/dev/null || true
  kill "$lab" 2>/dev/null || true
  wait 2>/dev/null || true
}
trap finish EXIT
# HUP: a terminal that is closed. The service takes that for a reload, and would go on with nobody to end it.
trap 'finish; exit 0' HUP INT TERM

# Waits up to 30 s until the command answers; ends with the log when the process is gone.
await() { # PID LOG COMMAND...
  pid=$1 log=$2
  shift 2
  for _ in $(seq 150); do
    "$@" >/dev/null 2>&1 && return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.2
  done
  echo "The demo could not start. It needs ports 9443 to 9455, 9859 and 9860 of 127.0.0.1: does one run already? $log says:" >&2
  cat "$log" >&2
  exit 1
}
lab_ready() { grep -q "^Watch all" "$directory/lab.log"; }
service_ready() {
  "$(dirname "$prober")/python" -c "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://$listen/-/ready', timeout=1)"
}

await "$lab" "$directory/lab.log" lab_ready
"$prober" serve --config "$directory/prober.yml" 2>"$directory/serve.log" &
serve=$!
await "$serve" "$directory/serve.log" service_ready

reset=$(awk '$1 == "envoy-reset" { print $2 }' "$directory/lab.log")
healthy=$(awk '$1 == "healthy" { print $2 }' "$directory/lab.log")
cat <<TEXT

The rehearsal ingress and the service that watches it are running.

  Status page   http://$listen/
  Metrics       http://$listen/metrics
  One probe     http://$listen/probe?target=$reset&hostname=api.lab.test

In another terminal:

  $prober once $reset --server-name api.lab.test --ca-file $directory/ca.pem
  $prober once $healthy --server-name api.lab.test --ca-file $directory/ca.pem
  $prober lab flip healthy envoy-reset     # an incident: watch the page, then mend it:
  $prober lab flip healthy healthy

Logs are $directory/lab.log and $directory/serve.log. Ctrl-C ends both.
TEXT
wait "$serve"
