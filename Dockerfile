# syntax=docker/dockerfile:1
# The one binary, static, in an image without a shell, run by a user without rights:
#
#   docker build -t daybook --build-arg VERSION=1.2.3 .
#   docker run --rm -v daybook:/var/lib/daybook daybook keys create --subject me --role teller --role operator
#   docker run -p 127.0.0.1:8080:8080 -v daybook:/var/lib/daybook daybook
#
# Whoever reaches the port must show a key; the first is made on the volume itself, while nothing runs on it. TLS is a proxy's, or
# Daybook's own: mount the files, and set DAYBOOK_HTTP_TLS_CERT, DAYBOOK_HTTP_TLS_KEY and DAYBOOK_BEHIND_TLS_PROXY=false. Settings
# belong into the environment or a file, not behind serve: the health check reads them too.
#
# With PostgreSQL, RabbitMQ and Elasticsearch: docker-compose.yml.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/daybook ./cmd/daybook \
 && mkdir /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/daybook /usr/bin/daybook
# The embedded store is the default; its folder is ./daybook-data.
COPY --from=build --chown=65532:65532 /out/data /var/lib/daybook
WORKDIR /var/lib/daybook
VOLUME /var/lib/daybook
USER 65532:65532
EXPOSE 8080
ENV DAYBOOK_HTTP_ADDR=0.0.0.0:8080 DAYBOOK_AUTH_MODE=required DAYBOOK_BEHIND_TLS_PROXY=true
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/usr/bin/daybook", "health", "--own"]
ENTRYPOINT ["/usr/bin/daybook"]
CMD ["serve"]
