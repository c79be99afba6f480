# The image: one static binary, the certificates it trusts, and a user who may write to one folder.
#
#   docker build --build-arg VERSION=1.2.3 --build-arg COMMIT="$(git rev-parse HEAD)" --tag enchufe:1.2.3 .
#
# needs BuildKit (every Docker since 23, DOCKER_BUILDKIT=1 before). With --platform linux/amd64,
# linux/arm64 it makes both: the compiler runs on the machine's own platform and writes for the other.
# docs/deployment.md says how to pin the base image by its digest.
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
WORKDIR /src

# Which compiler for which platform. Glibc is linked in: what is tested everywhere else is what runs
# here, and no library has to be shipped with it.
ARG BUILDARCH
ARG TARGETARCH
# hadolint ignore=DL3008
RUN set -eu; \
    case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-gnu; gcc=x86-64-linux-gnu; \
             cc=CC_x86_64_unknown_linux_gnu; cargo=CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU ;; \
      arm64) target=aarch64-unknown-linux-gnu; gcc=aarch64-linux-gnu; \
             cc=CC_aarch64_unknown_linux_gnu; cargo=CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU ;; \
      *) echo "there is no image for $TARGETARCH: build for amd64 or arm64" >&2; exit 1 ;; \
    esac; \
    compiler=cc; \
    if [ "$TARGETARCH" != "$BUILDARCH" ]; then \
      compiler="${target%%-*}-linux-gnu-gcc"; \
      apt-get update; \
      apt-get install --yes --no-install-recommends "gcc-$gcc" "libc6-dev-$TARGETARCH-cross"; \
      rm -rf /var/lib/apt/lists/*; \
      rustup target add "$target"; \
    fi; \
    { \
      echo "export CARGO_BUILD_TARGET=$target"; \
      echo "export $cc=$compiler"; \
      echo "export ${cargo}_LINKER=$compiler"; \
      echo "export ${cargo}_RUSTFLAGS='-C target-feature=+crt-static'"; \
    } > /etc/profile.d/target.sh

# The dependencies are a layer of their own: it is built anew only when a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY .cargo/config.toml .cargo/
COPY crates/domain/Cargo.toml crates/domain/
COPY crates/ocpp/Cargo.toml crates/ocpp/
COPY crates/server/Cargo.toml crates/server/
COPY crates/simulator/Cargo.toml crates/simulator/
COPY crates/store/Cargo.toml crates/store/
COPY xtask/Cargo.toml xtask/
RUN set -eu; \
    for crate in crates/* xtask; do mkdir "$crate/src"; touch "$crate/src/lib.rs"; done; \
    for crate in crates/server xtask; do echo 'fn main() {}' > "$crate/src/main.rs"; done; \
    . /etc/profile.d/target.sh; \
    cargo build --release --locked --package enchufe

COPY crates crates
# Empty means that the manifest's version stands, and that the commit is unknown.
ARG VERSION=""
ARG COMMIT=""
# Cargo looks at times, and the files may well be older than the empty ones they replace.
RUN set -eu; \
    find crates -name '*.rs' -exec touch {} +; \
    . /etc/profile.d/target.sh; \
    BUILD_VERSION="$VERSION" BUILD_COMMIT="$COMMIT" cargo build --release --locked --package enchufe; \
    install -D "target/$CARGO_BUILD_TARGET/release/enchufe" /root-of-image/usr/local/bin/enchufe

# Everything that is not the binary. Without nsswitch.conf names would be looked for in the network
# before /etc/hosts.
COPY LICENSE /root-of-image/licenses/enchufe/LICENSE
RUN set -eu; \
    etc=/root-of-image/etc; \
    install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$etc/ssl/certs/ca-certificates.crt"; \
    echo 'enchufe:x:65532:65532:enchufe:/data:/sbin/nologin' > "$etc/passwd"; \
    echo 'enchufe:x:65532:' > "$etc/group"; \
    echo 'hosts: files dns' > "$etc/nsswitch.conf"; \
    install -d -m 0700 -o 65532 -g 65532 /root-of-image/data; \
    install -d -m 1777 /root-of-image/tmp

FROM scratch
COPY --from=build /root-of-image /

ARG VERSION=""
ARG COMMIT=""
LABEL org.opencontainers.image.title="Enchufe" \
      org.opencontainers.image.description="Runs an electric-vehicle charging network: chargers speak OCPP to it, people and systems speak HTTP to it." \
      org.opencontainers.image.url="https://github.com/enchufe/enchufe" \
      org.opencontainers.image.source="https://github.com/enchufe/enchufe" \
      org.opencontainers.image.documentation="https://github.com/enchufe/enchufe/blob/main/docs/deployment.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"

ENV ENCHUFE_DATA_DIR=/data \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
VOLUME /data
EXPOSE 8081 8000
# It asks the process on this side of the network, so it needs neither a shell nor curl.
HEALTHCHECK --interval=30s --start-period=30s --timeout=5s --retries=5 \
  CMD ["/usr/local/bin/enchufe", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/enchufe"]
CMD ["serve"]
