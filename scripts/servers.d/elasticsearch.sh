# Elasticsearch put together from its published Maven artifacts: the server's own code, run by a small launcher without
# entitlements and bootstrap checks, so for tests only. Sourced by scripts/servers. Needs a JDK 17, Maven and curl.
# What it lacks (scripts, delete by query, most analysers) is a module that is not published; Daybook needs none of it.
# shellcheck shell=bash disable=SC2034,SC2154,SC2164

USUAL_PORT=19200
PORTS=1
OWNER=$(id -un)
HEAP=512m
SOURCES=$scripts/servers.d/elasticsearch

# The program is shared by all instances; its name changes with its sources.
program=$shared/elasticsearch-$(cat "$SOURCES"/* | cksum | cut -d ' ' -f 1)

installed() { [ -e "$program/complete" ] && command -v java curl >/dev/null; }

install() {
  local missing=() jars=$program/jars transport=$program/modules/transport-netty4
  command -v javac >/dev/null || missing+=(default-jdk-headless)
  command -v mvn >/dev/null || missing+=(maven)
  command -v curl >/dev/null || missing+=(curl)
  [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
  mkdir -p -- "$program"
  lock "$program"
  [ ! -e "$program/complete" ] || return 0 # another start made it while this one waited
  log "fetching the jars and compiling the launcher ..."
  rm -rf -- "${program:?}"/*
  mkdir -p "$program"/{lib,launcher,plugins,config} "$transport"
  mvn -B -q -C -Dstyle.color=never -f "$SOURCES/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars" >"$program/maven.log" 2>&1 || {
    tail -n 20 "$program/maven.log" >&2
    die "Maven could not fetch the jars"
  }
  # The transport is a module with a class loader of its own; a jar must not be in both places.
  mv "$jars"/transport-netty4-*.jar "$jars"/netty-*.jar "$jars"/elasticsearch-ssl-config-*.jar "$transport/"
  mv "$jars"/*.jar "$program/lib/"
  (
    cd "$transport"
    jar xf transport-netty4-*.jar META-INF/es-plugins/transport-netty4
    mv META-INF/es-plugins/transport-netty4/* .
  )
  javac -nowarn -d "$program/launcher" -cp "$program/lib/*" "$SOURCES/EsLauncher.java"
  install_rest_root "$(basename "$transport"/transport-netty4-*.jar .jar)"
  configure
  touch "$program/complete"
}

# GET / is a module of the distribution that is not published; this is a small one in its place.
install_rest_root() {
  local module=$program/modules/rest-root
  mkdir -p "$module/classes"
  javac -nowarn -d "$module/classes" -cp "$program/lib/*" "$SOURCES/RestRootPlugin.java"
  jar cf "$module/rest-root.jar" -C "$module/classes" .
  rm -r "$module/classes"
  printf '%s\n' name=rest-root "description=GET / for tests" version=1 classname=RestRootPlugin \
    java.version=17 "elasticsearch.version=${1#transport-netty4-}" >"$module/plugin-descriptor.properties"
}

configure() {
  cat >"$program/config/elasticsearch.yml" <<'YML'
cluster.name: daybook-test
node.name: node-1
discovery.type: single-node
network.host: 127.0.0.1
transport.port: 0
node.roles: [ master, data, ingest ]
cluster.routing.allocation.disk.threshold_enabled: false
YML
  cat >"$program/config/log4j2.properties" <<'LOG'
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1}] [%node_name]%marker %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
LOG
}

url() { printf 'http://127.0.0.1:%s\n' "$1"; }

running_pid() {
  local pid
  pid=$(read_pid "$dir/elasticsearch.pid")
  if alive "$pid" "path.data=$dir/data"; then echo "$pid"; fi
}

# Yellow is ready: an index of one replica on a single node never gets greener.
answers() {
  curl -sf --noproxy '*' -m 5 -o /dev/null "http://127.0.0.1:$1/_cluster/health?wait_for_status=yellow&timeout=2s"
}

begin() {
  cd "$dir"
  mkdir -p data tmp
  spawn "$OWNER" "$dir/server.log" java -Xms$HEAP -Xmx$HEAP -XX:+UseG1GC -Xss1m \
    -XX:+ExitOnOutOfMemoryError -XX:-OmitStackTraceInFastThrow \
    -Djava.io.tmpdir="$dir/tmp" -Djna.tmpdir="$dir/tmp" -Djna.nosys=true -Djava.awt.headless=true \
    -Dfile.encoding=UTF-8 -Djava.locale.providers=SPI,COMPAT \
    -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 \
    -Dlog4j.shutdownHookEnabled=false -Dlog4j2.disable.jmx=true -Des.path.home="$program" \
    --module-path "$program/lib" --add-modules=org.elasticsearch.server,jdk.net,jdk.management \
    -cp "$program/launcher" EsLauncher "$program" "http.port=$1" "path.data=$dir/data" "path.logs=$dir"
  echo "$SPAWNED" >elasticsearch.pid
  wait_until 240 answers_or_ended "$1" "$SPAWNED" && answers "$1" && return 0
  tail -n 20 "$dir/server.log" >&2 || true
  end KILL
  die "ended, or did not answer within 240 s; see $dir/server.log"
}

answers_or_ended() { answers "$1" || ended "$2"; }

# end SIGNAL
end() {
  end_pid "$(read_pid "$dir/elasticsearch.pid")" "path.data=$dir/data" 30 "$1"
  rm -f "$dir/elasticsearch.pid"
}
