module daybook

go 1.26.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0 // percentiles of daybook bench, exact to three digits
	github.com/Rhymond/go-money v1.0.15 // the currencies of ISO 4217 and their digits
	github.com/Shopify/toxiproxy/v2 v2.5.0 // tests: a network that cuts, stalls and slows
	github.com/ThreeDotsLabs/watermill v1.5.1 // publishers, subscribers and a router that brokers plug into
	github.com/ThreeDotsLabs/watermill-sql/v4 v4.1.2 // tests: the feed for services with stock Watermill, as docs/watermill.md shows
	github.com/anishathalye/porcupine v1.3.1 // tests: is a history of several clients linearizable
	github.com/cockroachdb/pebble/v2 v2.1.7 // the embedded store: an LSM tree in pure Go
	github.com/danielgtaylor/huma/v2 v2.37.2 // the types of an OpenAPI 3.1 document, content negotiation
	github.com/elastic/elastic-transport-go/v8 v8.9.0 // connections to Elasticsearch: several nodes, retries of those that are down
	github.com/elastic/go-elasticsearch/v8 v8.19.7 // the requests of Elasticsearch, without the typed client
	github.com/go-jose/go-jose/v4 v4.1.9 // signatures of access tokens and the issuers' keys
	github.com/go-json-experiment/json v1.27.2 // strict JSON: duplicate names, invalid UTF-8 and trailing data are errors
	github.com/govalues/decimal v0.1.36 // decimal amounts of imported files, exactly
	github.com/jackc/pgx/v5 v5.12.0 // PostgreSQL, with pipelines and pools
	github.com/jedib0t/go-pretty/v6 v6.8.3 // tables in a terminal
	github.com/johannesboyne/gofakes3 v1.2.0 // tests: an object storage that speaks S3
	github.com/klauspost/compress v1.20.1 // zstd for a whole ledger in a file, and for old events
	github.com/pressly/goose/v3 v3.29.0 // migrations of the database, one process at a time
	github.com/prometheus/client_golang v1.25.0 // metrics
	github.com/prometheus/client_model v0.6.3 // tests: what was scraped
	github.com/rabbitmq/amqp091-go v1.16.0 // RabbitMQ: AMQP 0.9.1 with confirms
	github.com/rs/zerolog v1.28.0 // tests: the log that toxiproxy asks for
	github.com/spf13/cobra v1.10.2 // the command line, its help and completion
	github.com/spf13/pflag v1.0.10 // its flags, which are settings too
	github.com/spf13/viper v1.21.0 // settings from flags, environment and files
	github.com/swaggest/swgui v1.8.5 // the pages of the API, embedded
	github.com/tidwall/btree v1.8.2 // ordered indexes of the views in memory, with cheap snapshots
	github.com/vbauerster/mpb/v8 v8.9.3 // progress with rate and time left
	go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp v0.72.0 // spans of HTTP requests
	go.opentelemetry.io/otel v1.47.0 // traces, configured by its own variables
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp v1.47.0 // sends them
	go.opentelemetry.io/otel/metric v1.47.0 // none: Prometheus has the metrics, and otelhttp is told so
	go.opentelemetry.io/otel/sdk v1.47.0 // makes them
	go.opentelemetry.io/otel/trace v1.47.0 // their vocabulary
	go.uber.org/goleak v1.3.0 // tests leave no goroutine behind
	go.yaml.in/yaml/v3 v3.0.6 // mappings of imports; lines of configuration files
	gocloud.dev v0.47.0 // folders and object storages for old events
	golang.org/x/mod v0.42.0 // signed notes: the form of checkpoints that transparency logs share
	golang.org/x/time v0.16.0 // rate limits: token buckets
	pgregory.net/rapid v1.3.0 // properties over random histories
)

require (
	github.com/DataDog/zstd v1.5.7 // indirect
	github.com/RaduBerinde/axisds v0.1.0 // indirect
	github.com/RaduBerinde/btreemap v0.0.0-20250419174037-3d62b7205d54 // indirect
	github.com/VividCortex/ewma v1.2.0 // indirect
	github.com/acarl005/stripansi v0.0.0-20180116102854-5a71ef0e047d // indirect
	github.com/aws/aws-sdk-go-v2 v1.46.0 // indirect
	github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream v1.7.20 // indirect
	github.com/aws/aws-sdk-go-v2/config v1.33.3 // indirect
	github.com/aws/aws-sdk-go-v2/credentials v1.20.3 // indirect
	github.com/aws/aws-sdk-go-v2/feature/ec2/imds v1.19.2 // indirect
	github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager v0.4.3 // indirect
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.5.2 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.8.2 // indirect
	github.com/aws/aws-sdk-go-v2/internal/v4a v1.5.2 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding v1.13.19 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/checksum v1.11.2 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/presigned-url v1.14.2 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/s3shared v1.20.2 // indirect
	github.com/aws/aws-sdk-go-v2/service/s3 v1.111.0 // indirect
	github.com/aws/aws-sdk-go-v2/service/signin v1.9.0 // indirect
	github.com/aws/aws-sdk-go-v2/service/sso v1.37.0 // indirect
	github.com/aws/aws-sdk-go-v2/service/ssooidc v1.42.0 // indirect
	github.com/aws/aws-sdk-go-v2/service/sts v1.49.0 // indirect
	github.com/aws/smithy-go v1.28.1 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/clipperhouse/uax29/v2 v2.7.0 // indirect
	github.com/cockroachdb/crlib v0.0.0-20241112164430-1264a2edc35b // indirect
	github.com/cockroachdb/errors v1.11.3 // indirect
	github.com/cockroachdb/logtags v0.0.0-20230118201751-21c54148d20b // indirect
	github.com/cockroachdb/redact v1.1.5 // indirect
	github.com/cockroachdb/swiss v0.0.0-20260820225851-333444432258 // indirect
	github.com/cockroachdb/tokenbucket v0.0.0-20230807174530-cc333fc44b06 // indirect
	github.com/felixge/httpsnoop v1.1.0 // indirect
	github.com/fsnotify/fsnotify v1.10.1 // indirect
	github.com/getsentry/sentry-go v0.27.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/go-viper/mapstructure/v2 v2.5.0 // indirect
	github.com/gogo/protobuf v1.3.2 // indirect
	github.com/golang/snappy v0.0.5-0.20231225225746-43d5d4cd4e0e // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/google/wire v0.7.0 // indirect
	github.com/googleapis/gax-go/v2 v2.24.1 // indirect
	github.com/gorilla/mux v1.8.1 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.30.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/kr/pretty v0.3.1 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/lib/pq v1.12.3 // indirect
	github.com/lithammer/shortuuid/v3 v3.0.7 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/mattn/go-runewidth v0.0.20 // indirect
	github.com/mfridman/interpolate v0.0.2 // indirect
	github.com/minio/minlz v1.0.1-0.20250507153514-87eb42fe8882 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/oklog/ulid v1.3.1 // indirect
	github.com/pelletier/go-toml/v2 v2.2.4 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	github.com/rs/xid v1.4.0 // indirect
	github.com/ryszard/goskiplist v0.0.0-20150312221310-2dfbae5fcf46 // indirect
	github.com/sagikazarmark/locafero v0.11.0 // indirect
	github.com/sethvargo/go-retry v0.5.0 // indirect
	github.com/sony/gobreaker v1.0.0 // indirect
	github.com/sourcegraph/conc v0.3.1-0.20240121214520-5f936abd7ae8 // indirect
	github.com/spf13/afero v1.15.0 // indirect
	github.com/spf13/cast v1.10.0 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	github.com/subosito/gotenv v1.6.0 // indirect
	github.com/vearutop/statigz v1.4.0 // indirect
	go.etcd.io/gofail v0.2.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace v1.47.0 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.opentelemetry.io/otel/sdk/metric v1.47.0 // indirect
	go.opentelemetry.io/proto/otlp v1.11.0 // indirect
	go.shabbyrobe.org/gocovmerge v0.0.0-20230507111327-fa4f82cfbf4d // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/exp v0.0.0-20261011100332-faecfb24eb49 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/tools v0.52.0 // indirect
	golang.org/x/xerrors v0.0.0-20240903120638-7835f813f4da // indirect
	google.golang.org/api v0.297.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20261026165753-2ffab32bce7e // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261026165753-2ffab32bce7e // indirect
	google.golang.org/grpc v1.84.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	gopkg.in/tomb.v1 v1.0.0-20141024135613-dd632973f1e7 // indirect
)

// tests: turns comments into the points at which test/faultbuild's program can be stopped and killed
tool go.etcd.io/gofail
