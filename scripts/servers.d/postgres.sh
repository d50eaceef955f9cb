# PostgreSQL of the distribution's packages, the newest major version that is installed. Sourced by scripts/servers.
# The role daybook (password daybook) may create databases and owns the database daybook; the superuser is postgres.
# shellcheck shell=bash disable=SC2034,SC2154,SC2164

MINIMUM=15
USUAL_PORT=15432
PORTS=1
OWNER=$(service_user postgres)
PASSWORD=daybook

unset "${!PG@}" # the caller's own PGHOST and the like must reach no client or server here

find_bin() {
  local major
  for major in $(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -rn); do
    if [ "$major" -ge $MINIMUM ] && [ -x "/usr/lib/postgresql/$major/bin/initdb" ]; then
      echo "/usr/lib/postgresql/$major/bin"
      return
    fi
  done
}
BIN=$(find_bin)

installed() { [ -n "$BIN" ]; }

install() {
  # a drop-in, so that the package makes no cluster of its own and its configuration file stays untouched
  if [ "$(id -u)" -eq 0 ]; then
    mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.d/no-main-cluster.conf
  fi
  apt_install postgresql
  BIN=$(find_bin)
  [ -n "$BIN" ] || die "the packages hold no PostgreSQL $MINIMUM or newer"
}

url() { printf 'postgres://daybook:%s@127.0.0.1:%s/daybook?sslmode=disable\n' "$PASSWORD" "$1"; }

postmaster() {
  local pid
  pid=$(read_pid "$dir/data/postmaster.pid")
  if alive "$pid" "$dir/data"; then echo "$pid"; fi
}

# A first start that was interrupted left a server without its role, or half a cluster: that is none, and made anew.
running_pid() { if [ -e "$dir/complete" ]; then postmaster; fi; }

answers() { "$BIN/pg_isready" -q -t 2 -h 127.0.0.1 -p "$1"; }

begin() {
  local fresh=0
  [ "$OWNER" != root ] || die "PostgreSQL refuses to run as root"
  cd "$dir"
  if [ ! -e complete ]; then
    fresh=1
    end KILL
    create_cluster
  fi
  configure "$1"
  settle
  # pg_ctl waits until connections are accepted, so for crash recovery too
  as_user "$OWNER" "$BIN/pg_ctl" -s -D "$dir/data" -l "$dir/postgres.log" -w -t 60 start >start.log 2>&1 || {
    tail -n 5 start.log postgres.log >&2 2>/dev/null || true
    die "did not start within 60 s; see $dir/postgres.log"
  }
  if [ $fresh = 1 ]; then create_role "$1"; fi
  touch complete
}

create_cluster() {
  rm -rf -- data
  mkdir -p run
  (
    umask 077
    printf '%s\n' "$PASSWORD" >password
  )
  if [ "$(id -u)" -eq 0 ]; then chown "$OWNER": run password; fi
  as_user "$OWNER" "$BIN/initdb" -D "$dir/data" -U postgres -E UTF8 --no-locale --data-checksums \
    --auth-local=scram-sha-256 --auth-host=scram-sha-256 --pwfile="$dir/password" >initdb.log 2>&1 ||
    die "initdb failed; see $dir/initdb.log"
  rm -f password
  printf "include = 'daybook.conf'\n" >>data/postgresql.conf
}

configure() {
  cat >data/daybook.conf <<CONF
listen_addresses = '127.0.0.1'
port = $1
# relative to the data directory: the whole path of a unix socket may not pass 107 bytes
unix_socket_directories = '../run'
max_connections = 200
shared_buffers = 64MB
fsync = on
synchronous_commit = on
full_page_writes = on
wal_level = logical
log_line_prefix = '%m [%p] %u@%d '
timezone = 'UTC'
CONF
  if [ "$(id -u)" -eq 0 ]; then chown "$OWNER": data/daybook.conf; fi
}

# Over TCP, as the path of the socket may be too long for the client too.
create_role() {
  PGPASSWORD=$PASSWORD PGCONNECT_TIMEOUT=5 "$BIN/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$1" -U postgres -d postgres \
    -c "CREATE ROLE daybook LOGIN CREATEDB PASSWORD '$PASSWORD'" -c 'CREATE DATABASE daybook OWNER daybook' >&2 ||
    die "the role daybook could not be made; see $dir/postgres.log"
}

# A dead postmaster that its parent has not reaped counts as running for the lock file, and the start would be refused.
# Process 1 may reap orphans only now and then, or never.
settle() {
  local pid
  pid=$(read_pid "$dir/data/postmaster.pid")
  if [ -z "$pid" ] || wait_until 5 reaped "$pid" || alive "$pid" ""; then return 0; fi
  rm -f "$dir/data/postmaster.pid"
}

# end SIGNAL. After SIGKILL the children must be gone too: one that lives on keeps the shared memory.
end() {
  local pid children
  pid=$(postmaster)
  [ -n "$pid" ] || return 0
  children=$(descendants "$pid")
  if [ "$1" = TERM ]; then
    end_pid "$pid" "$dir/data" 30 INT # a fast shutdown: clients are disconnected
  else
    end_pid "$pid" "$dir/data" 10 KILL
    # shellcheck disable=SC2086
    kill -KILL $children 2>/dev/null || true
  fi
  for pid in $children; do wait_until 10 dead "$pid" postgres || die "process $pid survives"; done
  settle
}
