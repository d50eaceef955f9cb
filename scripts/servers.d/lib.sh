# What the servers of scripts/servers have in common: words, folders, users, processes, ports, packages. Sourced, never run.
# shellcheck shell=bash disable=SC2015,SC2154

NAME=servers # of the server at hand, in every message

log() { printf '%s: %s\n' "$NAME" "$*" >&2; }
die() {
  log "ERROR: $*"
  exit 1
}

# abs_dir PATH prints it made absolute, and refuses what the servers' own configuration files cannot carry.
abs_dir() {
  local d
  d=$(realpath -m -- "$1")
  plain_path "$d" || die "the folder '$d' holds a blank, a quote or another odd character: choose a plainer one"
  [ "$(dirname -- "$d")" != / ] || die "refusing to put data into '$d': name a folder below it"
  printf '%s\n' "$d"
}

plain_path() { case $1 in *[!A-Za-z0-9._/@+=:,-]*) return 1 ;; esac }

# enterable PATH: any user may pass through PATH and its parents. What does not exist yet is not in the way.
enterable() {
  local d=$1
  while :; do
    if [ -e "$d" ]; then case $(stat -L -c %A -- "$d") in *[xt]) ;; *) return 1 ;; esac fi
    [ "$d" != / ] || return 0
    d=$(dirname -- "$d")
  done
}

# shared_dir CHECKOUT prints where the shared servers live: in the checkout, or where their users can come, below TMPDIR.
shared_dir() {
  local d=$1/.servers
  if plain_path "$d" && { [ "$(id -u)" -ne 0 ] || enterable "$d"; }; then
    printf '%s\n' "$d"
    return
  fi
  d=$(realpath -m -- "${TMPDIR:-/tmp}")/daybook-servers-$(printf '%s' "$1" | cksum | cut -d ' ' -f 1)
  log "not every user can enter $1, so the data is in $d"
  if ! mkdir -- "$d" 2>/dev/null && ! [ -O "$d" ]; then die "'$d' belongs to someone else"; fi
  printf '%s\n' "$d"
}

# service_user NAME: root runs a server as NAME, anyone else as himself.
service_user() { if [ "$(id -u)" -eq 0 ]; then echo "$1"; else id -un; fi; }

# as USER prints, one word a line, what has to stand before a command to run it as USER.
as() { [ "$(id -un)" = "$1" ] || printf '%s\n' setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups --; }

# as_user USER COMMAND... The locks (8 and 9) are closed, or a daemon would hold them for as long as it runs.
as_user() {
  local prefix
  mapfile -t prefix < <(as "$1")
  shift
  "${prefix[@]}" "$@" 8>&- 9>&-
}

# spawn USER LOGFILE COMMAND...: in a session of its own, with nothing inherited; its pid, the command's own, is in SPAWNED.
spawn() {
  local prefix logfile=$2
  mapfile -t prefix < <(as "$1")
  shift 2
  setsid "${prefix[@]}" "$@" </dev/null >>"$logfile" 2>&1 8>&- 9>&- &
  SPAWNED=$!
  disown
  # until it has become the command, its command line is still this script's
  wait_until 10 became_another "$SPAWNED" "$(readlink "/proc/$$/exe")" || die "'$1' was not executed within 10 s"
}

became_another() { [ "$(readlink "/proc/$1/exe" 2>/dev/null || true)" != "$2" ]; }

# own_dir USER DIR: DIR exists, belongs to USER, and USER can reach it.
own_dir() {
  [ -d "$2" ] || mkdir -p -- "$2" || die "cannot create '$2'"
  if [ "$(id -u)" -eq 0 ] && [ "$(stat -c %U -- "$2")" != "$1" ]; then chown "$1": -- "$2"; fi
  as_user "$1" test -w "$2" -a -x "$2" || die "user '$1' cannot enter and write '$2'"
}

# lock DIR: one start or stop at a time in each folder.
lock() {
  exec 9>"$1/.lock" || die "cannot write '$1/.lock'"
  flock -w 300 9 || die "another start or stop in '$1' has taken longer than 300 s"
}

# wait_until SECONDS COMMAND... asks every 0.1 s; false when the time is over.
wait_until() {
  local last=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$last" ] || return 1
    sleep 0.1
  done
}

# alive PID TEXT: PID runs and its command line holds TEXT, so that a number given to another process since does not count.
# A zombie has no command line: it counts as dead.
alive() {
  local words
  [ -n "$1" ] && [ -r "/proc/$1/cmdline" ] || return 1
  words=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") || return 1
  [ -n "$words" ] && [[ $words == *"$2"* ]]
}
dead() { ! alive "$1" "$2"; }

# ended PID: it is gone, or a zombie. For a process of our own, whose command line is empty while it becomes another program.
ended() { [ ! -e "/proc/$1" ] || grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; }
reaped() { [ ! -e "/proc/$1" ]; }

read_pid() { if [ -r "$1" ]; then head -n 1 "$1" | tr -dc 0-9; fi; }

# end_pid PID TEXT SECONDS SIGNAL: signal and wait; SIGKILL when it does not go.
end_pid() {
  alive "$1" "$2" || return 0
  kill "-$4" "$1" 2>/dev/null || true
  wait_until "$3" dead "$1" "$2" && return 0
  log "process $1 did not end within $3 s: killing it"
  kill -KILL "$1" 2>/dev/null || true
  wait_until 10 dead "$1" "$2" || die "process $1 survives SIGKILL"
}

# descendants PID prints every live descendant, one a line.
descendants() {
  local file child
  for file in $(grep -lsE "^PPid:[[:space:]]+$1\$" /proc/[0-9]*/status || true); do
    child=${file//[!0-9]/}
    printf '%s\n' "$child"
    descendants "$child"
  done
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ports_free PORT: none of the PORTS ports from PORT on is in use.
ports_free() {
  local p
  for ((p = $1; p < $1 + PORTS; p++)); do
    if listening "$p"; then return 1; fi
  done
}

# claim PORT: nobody else who starts a server with this script takes it until this process ends.
claim() {
  local claims=/tmp/daybook-ports
  mkdir -m 1777 "$claims" 2>/dev/null || true
  [ -e "$claims/$1" ] || : >"$claims/$1"
  exec 8<"$claims/$1"
  flock -n 8
}

# choose_port sets port: the one chosen by the environment, or the last one, or the usual one; the next free one when it is taken.
# A private instance has no usual one: chance keeps those that start at once apart.
choose_port() {
  local wanted=DAYBOOK_TEST_${NAME^^}_PORT i
  if [ -s "$dir/port" ]; then
    port=$(cat "$dir/port")
    wait_until 3 ports_free "$port" || true # a server that has just ended may hold it for a moment
  elif [ "$base" = "$shared" ]; then
    port=${!wanted:-$USUAL_PORT}
  else
    port=$((20000 + RANDOM % 1000 * 10))
  fi
  if [ "$base" = "$shared" ]; then port=${!wanted:-$port}; fi
  case $port in '' | *[!0-9]*) die "$wanted is not a port number" ;; esac
  for ((i = 0; i < 100; i++, port += 10)); do
    [ "$port" -ge 1024 ] && [ $((port + PORTS - 1)) -le 65535 ] || break
    if claim "$port" && ports_free "$port"; then
      [ $i -eq 0 ] || log "port $((port - i * 10)) is taken: using $port"
      printf '%s\n' "$port" >"$dir/port"
      return
    fi
  done
  die "no free port was found; choose one by $wanted"
}

# apt_install PACKAGE... installs and starts no service. One at a time on this machine.
apt_install() {
  local guard=/usr/sbin/policy-rc.d made=0 rc=0 words
  [ "$(id -u)" -eq 0 ] || die "not installed, and installing $* needs root: run 'scripts/servers up $NAME' as root once"
  exec 7>/run/lock/daybook-servers-apt.lock
  flock 7
  log "installing $* ..."
  # Where an init system runs, the packages would start their services at once, on their usual ports.
  if [ ! -e $guard ]; then
    printf '#!/bin/sh\nexit 101\n' >$guard
    chmod 755 $guard
    made=1
  fi
  words=$(
    exec 2>&1 </dev/null
    apt-get -qq -o DPkg::Lock::Timeout=300 update &&
      DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Options::=--force-confold install --no-install-recommends "$@"
  ) || rc=$?
  [ $made -eq 0 ] || rm -f $guard
  exec 7>&-
  if [ $rc -ne 0 ]; then
    printf '%s\n' "$words" | tail -n 20 >&2
    die "apt-get could not install $* (exit $rc)"
  fi
}
