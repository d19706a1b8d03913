# syntax=docker/dockerfile:1

# The workload as a container: one program, no shell, no root, and a root file system that may be read-only.
#
#   docker build -t datafuse .
#   docker run --rm --read-only datafuse demo --out /tmp/demo
#
# What it writes: /state (its database and fused files), /resources/outputs (reports), /tmp (temporary files, encrypted where
# they hold rows). docs/platform.md says what to mount, and who must own it.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# The caches stay outside of the image; the program is copied out of the cached folder.
RUN --mount=type=cache,id=datafuse-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=datafuse-target,target=/build/target,sharing=locked \
    cargo build --release --locked --package datafuse-cli --bin datafuse \
    && install -D -m 0755 target/release/datafuse /image/usr/local/bin/datafuse \
    && install -D -m 0644 LICENSE /image/usr/share/doc/datafuse/LICENSE
# Folders of the user that the program runs as (nonroot, 65532): volumes mounted on them begin with this owner.
RUN install -d -m 0700 -o 65532 -g 65532 /owned/state \
    && install -d -m 0755 -o 65532 -g 65532 /owned/space /owned/resources/outputs

# glibc, libgcc, certificates and time zones; nothing else. Same Debian release as the builder, so the same glibc.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="DataFuse" \
      org.opencontainers.image.description="Finds what datasets of several parties have in common, without any party showing the others its data" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
COPY --from=build --chown=65532:65532 /owned/ /
ENV DATAFUSE_SPACE=/space/space.yaml \
    DATAFUSE_KEY=/run/secrets/workload.key \
    DATAFUSE_STATE=/state \
    DATA_USER_OUTPUT_LOCATION=/resources/outputs \
    TMPDIR=/tmp
VOLUME ["/state", "/resources/outputs", "/tmp"]
WORKDIR /space
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/datafuse"]
CMD ["serve"]
