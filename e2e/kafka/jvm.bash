# Shared by kafka and registry: servers on a JVM that live in a directory each. Sourced, not run.

self=$(basename "$0")
cache=${KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace-kafka}

fail() { echo "$self: $*" >&2; exit 1; }

# The comment at the top of the script is its help.
help() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0" >&2; exit 2; }

require_java() {
  command -v java >/dev/null || fail "no java on the PATH; install version 17 or newer (Debian: openjdk-17-jre-headless)"
  local major
  major=$(java -version 2>&1 | awk -F '"' '/version/ { split($2, v, "."); print v[1]; exit }')
  (( ${major:-0} >= 17 )) || fail "java is version ${major:-unknown}, 17 or newer is needed"
}

# download TARGET COMMAND...: fill the folder TARGET by a command that gets a folder to write to as its last
# argument. Whoever comes second waits for the first; a broken download leaves nothing behind that looks whole.
download() {
  local target=$1 part=$1.part
  shift
  [[ ! -e $target/.complete ]] || return 0
  command -v mvn >/dev/null || fail "no mvn on the PATH and nothing in $target; install Maven (Debian: maven) or copy that folder"
  mkdir -p "$cache"
  (
    flock 9
    [[ ! -e $target/.complete ]] || exit 0
    echo "$self: downloading to $target" >&2
    rm -rf "$part"
    mkdir "$part"
    "$@" "$part" >&2 || fail "Maven could not download it, see above"
    touch "$part/.complete"
    rm -rf "$target"
    mv "$part" "$target"
  ) 9>"$cache/.lock"
}

# detach LOG COMMAND...: start a server in a session of its own and print its process id. Descriptors above 2 are
# closed first: a server that inherited a caller's flock would hold it for as long as it lives, and one that inherited
# a pipe would keep the pipe's reader waiting.
detach() {
  local log=$1
  shift
  (
    for fd in /proc/"$BASHPID"/fd/*; do
      fd=${fd##*/}
      if (( fd > 2 )); then eval "exec $fd>&-"; fi
    done
    exec setsid "$@"
  ) </dev/null >"$log" 2>&1 &
  echo $!
}

# alive PIDFILE MARK: print the process id in the file if that process lives and has MARK in its command line (process
# ids are used again, and after a reboot a pid file means nothing).
alive() {
  local pid
  pid=$(cat "$1" 2>/dev/null) && [[ -n $pid ]] || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2" && echo "$pid"
}

# end SIGNAL PID...: send the signal, wait until all are gone, after 20 s with SIGKILL.
end() {
  local signal=$1 pid deadline=$((SECONDS + 20))
  shift
  for pid in "$@"; do kill "-$signal" "$pid" 2>/dev/null || true; done
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null; do
      if (( SECONDS >= deadline )); then
        kill -KILL "$pid" 2>/dev/null || true
      fi
      sleep 0.05
    done
  done
}

# outlive DIR: when MILLRACE_PARENT is set, stop the servers of DIR once that process is gone (a test that was killed
# cannot clean up).
outlive() {
  [[ -n ${MILLRACE_PARENT:-} ]] || return 0
  local old
  if old=$(alive "$1/watch.pid" "$0 watch $1"); then return 0; fi
  detach /dev/null "$BASH" "$0" watch "$1" "$MILLRACE_PARENT" >"$1/watch.pid"
}

watch() {
  while kill -0 "$2" 2>/dev/null && [[ -d $1 ]]; do sleep 1; done
  if [[ -d $1 ]]; then "$BASH" "$0" stop "$1"; fi
}

unwatch() {
  local pid
  if pid=$(alive "$1/watch.pid" "$0 watch $1"); then kill "$pid" 2>/dev/null || true; fi
  rm -f "$1/watch.pid"
}

open_port() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
