# RabbitMQ of the distribution's packages as a private node, without plugins (management makes each stop 5 s longer).
# Sourced by scripts/servers. User, password and vhost are daybook. It takes three ports: AMQP, Erlang distribution, epmd.
# Queues whose name begins with "test-" expire when nobody has used them for 15 minutes, as nothing but the node can list them.
# shellcheck shell=bash disable=SC2034,SC2154,SC2164

USUAL_PORT=15680
PORTS=3
OWNER=$(service_user rabbitmq)
PASSWORD=daybook
BIN=/usr/lib/rabbitmq/bin # not the wrappers in /usr/sbin: those force the user rabbitmq and its directories

installed() { [ -x $BIN/rabbitmq-server ] && [ -x /usr/bin/epmd ]; }
install() { apt_install rabbitmq-server; }

url() { printf 'amqp://daybook:%s@127.0.0.1:%s/daybook\n' "$PASSWORD" "$1"; }

running_pid() {
  local pid
  pid=$(read_pid "$dir/rabbitmq.pid")
  if alive "$pid" "$dir/home"; then echo "$pid"; fi
}

# The server answers the protocol header with a frame (first octet 1) when it takes connections; the listener opens last,
# after the queues are recovered.
answers() {
  local first
  first=$( (
    exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'AMQP\0\0\11\1' >&3 && timeout 3 head -c 1 <&3 | od -An -tu1
  ) 2>/dev/null) || return 1
  [ "${first//[[:space:]]/}" = 1 ]
}

begin() {
  cd "$dir"
  end KILL # an epmd that outlived its node
  mkdir -p home log mnesia config
  configure
  if [ "$(id -u)" -eq 0 ]; then chown -R "$OWNER": home log mnesia config ./*.conf ./*.config ./*.json enabled_plugins; fi
  settings "$1"
  # A private epmd: the one that Erlang starts by itself listens on every interface, is shared by all nodes and outlives them.
  spawn "$OWNER" "$dir/start.log" /usr/bin/epmd -address 127.0.0.1 -port $(($1 + 2))
  echo "$SPAWNED" >epmd.pid
  wait_until 10 listening $(($1 + 2)) || die "epmd did not come up; see $dir/start.log"
  spawn "$OWNER" "$dir/start.log" $BIN/rabbitmq-server
  echo "$SPAWNED" >rabbitmq.pid
  wait_until 240 answers_or_ended "$1" "$SPAWNED" && answers "$1" && return 0
  tail -n 15 "$dir/start.log" >&2 || true
  end KILL
  die "ended, or did not answer within 240 s; see $dir/log/rabbit.log"
}

answers_or_ended() { answers "$1" || ended "$2"; }

configure() {
  cat >rabbitmq.conf <<CONF
load_definitions = $dir/definitions.json
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 100MB
log.console = false
log.file = rabbit.log
CONF
  cat >definitions.json <<JSON
{
  "users": [{"name": "daybook", "password": "$PASSWORD", "tags": "administrator"}],
  "vhosts": [{"name": "daybook"}],
  "permissions": [{"user": "daybook", "vhost": "daybook", "configure": ".*", "write": ".*", "read": ".*"}],
  "policies": [{"vhost": "daybook", "name": "tests", "pattern": "^test-", "apply-to": "queues", "priority": 0,
                "definition": {"expires": 900000}}]
}
JSON
  printf '[].\n' >advanced.config
  printf '[].\n' >enabled_plugins
  : >env.conf
}

# settings PORT exports all that the node reads from its environment.
settings() {
  export HOME=$dir/home # holds .erlang.cookie
  export RABBITMQ_CONF_ENV_FILE=$dir/env.conf
  export RABBITMQ_NODENAME=daybook@localhost # the database belongs to this name
  export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$1 RABBITMQ_DIST_PORT=$(($1 + 1))
  export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$(($1 + 2))
  export RABBITMQ_MNESIA_BASE=$dir/mnesia RABBITMQ_LOG_BASE=$dir/log
  export RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf RABBITMQ_ADVANCED_CONFIG_FILE=$dir/advanced.config
  export RABBITMQ_GENERATED_CONFIG_DIR=$dir/config RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins
  export RABBITMQ_PID_FILE=$dir/node.pid
  # distribution on loopback only; no busy waiting of the schedulers
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
  # the start script becomes the Erlang machine, so that its pid is the one that was started
  export RUNNING_UNDER_SYSTEMD=true
  unset NOTIFY_SOCKET
  export LANG=C.UTF-8 LC_ALL=C.UTF-8 ERL_CRASH_DUMP=$dir/log/erl_crash.dump
  umask 077
}

# end SIGNAL
end() {
  local pid children
  pid=$(running_pid)
  if [ -n "$pid" ]; then
    children=$(descendants "$pid")
    end_pid "$pid" "$dir/home" 60 "$1"
    for pid in $children; do wait_until 5 dead "$pid" "" || kill -KILL "$pid" 2>/dev/null || true; done
  fi
  end_pid "$(read_pid "$dir/epmd.pid")" /usr/bin/epmd 5 "$1"
  rm -f "$dir/rabbitmq.pid" "$dir/epmd.pid"
}
