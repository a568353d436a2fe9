"""What to change in each product so that clients without SNI are served. Pure: a table.

From the products' own documentation: nginx ``ssl_reject_handshake``, HAProxy ``strict-sni``, Traefik ``sniStrict`` and
``defaultCertificate``, Caddy ``default_sni``, ingress-nginx ``--default-ssl-certificate``, Kong ``snis``.
"""

from __future__ import annotations

from prober.findings import Fix

__all__ = ["product_fix"]

_STRICT = """\
# nginx: remove this from the default server, and give it a certificate
#   ssl_reject_handshake on;
server {
    listen 443 ssl default_server;
    ssl_certificate     /etc/nginx/tls/fallback.crt;
    ssl_certificate_key /etc/nginx/tls/fallback.key;
}
# HAProxy: remove strict-sni; the first certificate is then the default one
#   bind :443 ssl crt /etc/haproxy/certs/fallback.pem crt /etc/haproxy/certs/
# Traefik (dynamic configuration):
#   tls: {options: {default: {sniStrict: false}}}
"""
_TRAEFIK = """\
tls:
  stores:
    default:
      defaultCertificate: {certFile: /certs/fallback.crt, keyFile: /certs/fallback.key}
"""
_ROUTER = """\
# nginx stream
map $ssl_preread_server_name $backend {
    # the lines of your names stay as they are
    ""       fallback;   # no server name
    default  fallback;   # a name that nobody serves
}
# HAProxy, mode tcp
#   default_backend fallback
"""

_DEFAULT_SSL_CERTIFICATE = (
    "kubectl -n ingress-nginx patch deployment ingress-nginx-controller --type=json -p "
    '\'[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--default-ssl-certificate=NAMESPACE/SECRET"}]\''
)

_FIXES: dict[str, tuple[str, str | None, tuple[str, ...]]] = {
    "strict-sni": (
        "Turn the strict SNI mode off and give the default server a certificate that covers the hostnames.",
        _STRICT,
        ("nginx -t && nginx -s reload",),
    ),
    "caddy": (
        "Name a default server name, whose certificate clients without SNI then get (Go servers: return one from GetCertificate).",
        "{\n    default_sni api.example.com\n}\n",
        ("caddy reload --config /etc/caddy/Caddyfile",),
    ),
    "cdn": (
        "At a CDN, configure a default (non-SNI) certificate, or let these clients bypass it; in sniproxy, name a fallback.",
        None,
        (),
    ),
    "sni-router": (
        "Give the SNI router a default backend; behind a TCP proxy, an Envoy without a wildcard route looks the same: look there, too.",
        _ROUTER,
        (),
    ),
    "reset-without-sni": ("Look for the rule that drops hellos without a server name (firewall, WAF, load balancer), and remove it.", None, ()),
    "closed-without-sni": ("Look for the rule that drops hellos without a server name (firewall, WAF, load balancer), and remove it.", None, ()),
    "ingress-nginx": (
        "Start the controller with --default-ssl-certificate=NAMESPACE/SECRET, with a certificate that covers the hostnames.",
        None,
        (
            _DEFAULT_SSL_CERTIFICATE,
        ),
    ),
    "Traefik": ("Set a default certificate in the default TLS store.", _TRAEFIK, ()),
    "Kong": ('Add the SNI "*" to a certificate that covers the hostnames.', None, ("curl -X POST ADMIN/certificates/ID/snis -d name='*'",)),
    "Google's front end": ("Send a server name: this front end serves nobody without one.", None, ()),
}  # fmt: skip


def product_fix(key: str, prove: str, name: str | None = None) -> Fix:
    """The fix for a product (a default certificate's) or a signature's id; ``prove`` is the command that comes last.

    ``name``: one that the ingress is known to serve.
    """
    explanation, yaml, commands = _FIXES.get(
        key, ("Configure a default certificate that covers the hostnames, in the product that answers here.", None, ())
    )
    if yaml is not None and name is not None:
        yaml = yaml.replace("api.example.com", name)
    return Fix(explanation=explanation, yaml=yaml, commands=(*commands, prove))
