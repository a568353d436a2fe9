# Build stage: wheels and a virtual environment; nothing of it but the environment reaches the final stage.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY prober prober
RUN python -m venv /opt/prober \
 && /opt/prober/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt . \
 # pip is a build tool too: the final stage runs what was installed and installs nothing.
 && /opt/prober/bin/pip uninstall --yes pip

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="prober" \
      org.opencontainers.image.description="Tells whether an ingress answers TLS clients that send no server name" \
      org.opencontainers.image.licenses="Apache-2.0"
# ca-certificates are the trust anchors that targets are judged by: of them the newest are wanted, not the same ones for ever.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && python -m pip uninstall --yes pip \
 && useradd --system --uid 65532 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin prober \
 && install --directory --owner=prober --group=prober /var/lib/prober
COPY --from=build /opt/prober /opt/prober
ENV PATH=/opt/prober/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 9859
# For engines that ask: Kubernetes does not, and has probes of its own. Another port, TLS or a password need a check of their own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:9859/-/healthy', timeout=4)"]
ENTRYPOINT ["prober"]
CMD ["serve", "--config", "/etc/prober/prober.yml"]
