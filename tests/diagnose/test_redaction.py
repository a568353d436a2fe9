"""Secrets of every kind, planted in every place, are gone; what a diagnosis needs is still there."""

from __future__ import annotations

import base64
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prober.diagnose.redaction import REDACTED, redact, redact_value

CANARY = "Tr0ub4dorTr0ub4dorTr0ub4dor"
KEY = f"-----BEGIN PRIVATE KEY-----\nMIIEvQ{CANARY}\n{CANARY}AB==\n-----END PRIVATE KEY-----\n"
ACCOUNT = {"type": "service_account", "project_id": "p", "private_key_id": "0f", "private_key": KEY, "client_email": "x@p.iam"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def indented(text: str, depth: int) -> str:
    return "".join(f"{' ' * depth}{line}\n" for line in text.splitlines())


SECRETS = {
    "a private key in a block": f"sslKey: |\n{indented(KEY, 2)}",
    "a private key under any name": f"whatever: |\n{indented(KEY, 4)}",
    "an EC private key": KEY.replace("PRIVATE", "EC PRIVATE"),
    "an OpenSSH private key": KEY.replace("PRIVATE", "OPENSSH PRIVATE"),
    "a private key that is cut off": KEY[:60],
    "a private key with escaped line ends": json.dumps({"anything": KEY}),
    "a private key in base64": f"tls: {encoded(KEY)}",
    "a private key in folded base64": "tls: |\n" + indented("\n".join(encoded(KEY)[i : i + 40] for i in range(0, len(encoded(KEY)), 40)), 2),
    "a service account": json.dumps(ACCOUNT, indent=2),
    "a service account in one line": json.dumps(ACCOUNT),
    "a service account in base64": f"key: {encoded(json.dumps(ACCOUNT))}",
    "a service account in a block": f"serviceAccountJson: |\n{indented(json.dumps(ACCOUNT, indent=1), 2)}",
    "a password": f"cassandra:\n  auth:\n    password: {CANARY}\n",
    "a password in double quotes": f'password: "{CANARY}"\n',
    "a password in single quotes": f"password: 'it''s {CANARY}'\n",
    "a password with odd characters": f"password: {CANARY[:8]}, #{CANARY}}}\n",
    "a password over lines": f"password: {CANARY[:8]}\n  {CANARY}\n",
    "a password in a block": f"password: >-\n  a\n  {CANARY}\n",
    "a password in a flow": f"jmx: {{username: u, password: {CANARY}, port: 1}}\n",
    "a password in JSON": json.dumps({"jolokia": {"password": CANARY}}),
    "a password in JSON in YAML": "annotation: '" + json.dumps({"password": CANARY}) + "'\n",
    "a password in JSON in JSON": json.dumps({"annotation": json.dumps({"password": CANARY})}),
    "a password under pass": f"mail:\n  pass: {CANARY}\n",
    "a password under a name that ends in pass": f"env: {{SMTP_PASS: {CANARY}}}\n",
    "a password for curl": f"command: curl -sS -u user:{CANARY} https://example.com\n",
    "passwords below a key": f"passwords:\n  one: {CANARY}\n  two: {CANARY}\n",
    "passwords in a list": f"tokens:\n- {CANARY}\n- {CANARY}\n",
    "a password in an item": f"users:\n- password: {CANARY}\n  name: u\n",
    "an encryption key": f"envs:\n- name: prod\n  kmsEncryptionKey: {CANARY}\n",
    "a salt": f"axHashSalt: {CANARY}\n",
    "a token": f"accessToken: {CANARY}\n",
    "a client secret": f"clientSecret: {CANARY}\n",
    "an API key": f"apiKey: {CANARY}\n",
    "proxy credentials in a URL": f"httpProxy: http://user:{CANARY}@proxy.example:3128\n",
    "a proxy's password": f"httpProxy:\n  scheme: HTTP\n  username: u\n  password: {CANARY}\n",
    "a proxy's user": f"httpProxy:\n  username: {CANARY}\n  port: 3128\n",
    "a proxy's user in a flow": f"httpProxy: {{host: p, username: {CANARY}, port: 3128}}\n",
    "a proxy's user in JSON": json.dumps({"httpProxy": {"username": CANARY, "port": 3128}}),
    "a service account's own names": json.dumps({**ACCOUNT, "private_key_id": CANARY, "client_email": f"{CANARY}@p.iam"}),
    "a service account's own names in a block": "sa: |\n" + indented(json.dumps({"client_email": f"{CANARY}@p.iam"}, indent=1), 2),
    "a service account's own names in YAML": f"sa:\n  client_email: {CANARY}@p.iam.gserviceaccount.com\n  client_id: {CANARY}\n",
    "a bearer token": f"Authorization: Bearer {CANARY}\n",
    "a bearer token in text": f"curl -H 'X: bearer {CANARY}'\n",
    "a JSON Web Token": f"x: eyJhbGciOiJIUzI1NiJ9.eyJ{CANARY}.{CANARY}\n",
    "a Google access token": f"x: ya29.{CANARY}\n",
    "a token in a query": f"path: /v1?access_token={CANARY}&page=2\n",
    "a Secret's data": f"apiVersion: v1\nkind: Secret\ndata:\n  anything: {encoded(CANARY)}\n",
    "a Secret's stringData": f"kind: Secret\nmetadata: {{name: a}}\nstringData:\n  anything: {CANARY}\n",
    "a Secret in JSON": json.dumps({"kind": "List", "items": [{"kind": "Secret", "data": {"x": encoded(CANARY)}}]}),
    "long base64 under any name": f"blob: {encoded(CANARY * 2)}\n",
    "short base64 with padding": f"blob: {encoded(CANARY + 'x')}\n",
    "an environment variable": f"DB_PASSWORD={CANARY}\n",
    "an environment's entry": f"env:\n- name: DB_PASSWORD\n  value: {CANARY}\n",
    "an environment's entry in a block": f"env:\n- name: DB_PASSWORD\n  value: |\n    {CANARY}\n    {CANARY}\n",
    "an environment's entry in a flow": f"env: [{{name: API_TOKEN, value: {CANARY}}}]\n",
    "an environment's entry in JSON": json.dumps({"env": [{"name": "DB_PASSWORD", "value": CANARY}]}),
    "a command line": f"command: mysql --password {CANARY} -h x\n",
    "a command line in a list": f'args: ["--client-secret", "{CANARY}", "--x"]\n',
    "a command line with an equals sign": f"args: [--auth-token={CANARY}]\n",
    "a netrc": f"machine example.com login me password {CANARY}\n",
    "an encrypted private key": KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"),
    "a PGP private key": KEY.replace("PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
    "a PGP message": KEY.replace("PRIVATE KEY", "PGP MESSAGE"),
    "a cookie": f"Cookie: session={CANARY}; theme=dark\n",
    "a cookie that is set": f"Set-Cookie: sid={CANARY}; HttpOnly\n",
    "basic authentication": f"Authorization: Basic {encoded('user:' + CANARY)}\n",
    "a proxy's authentication": f"Proxy-Authorization: Basic {encoded('user:' + CANARY)}\n",
    "an API key's header": f"X-Api-Key: {CANARY}\n",
    "headers in a log entry": json.dumps({"headers": {"authorization": f"Bearer {CANARY}", "cookie": f"s={CANARY}"}, "status": 200}),
    "a path in a log entry": json.dumps({"request": f"GET /token?client_secret={CANARY}&x=1 HTTP/1.1", "request_path": f"/v1?apikey={CANARY}"}),
    "a user in a URL": f"repo: https://{CANARY}@git.example/x\n",
    "a kubeconfig": f"kind: Config\nusers:\n- name: me\n  user:\n    token: {CANARY}\n    client-key-data: {encoded(KEY)}\n    password: {CANARY}\n",
    "a Docker configuration": json.dumps({"auths": {"europe-west1-docker.pkg.dev": {"auth": encoded("_json_key:" + CANARY)}}}),
    "base64 for URLs": f"x: {base64.urlsafe_b64encode((CANARY * 2 + '??>>').encode()).decode()}\n",
    "a password behind an item's option": f"args:\n- --db-password\n- {CANARY}\n- --verbose\n",
    "a password behind a Java option": f"command: keytool -list -storepass {CANARY}\n",
    "a password of a key and a value": f"settings:\n- key: password\n  value: {CANARY}\n",
    "a password of a key and a value in JSON": json.dumps({"settings": [{"key": "password", "value": CANARY}]}),
    "an environment's entry with its value first": f"env:\n- value: {CANARY}\n  name: DB_PASSWORD\n",
    "a password with a slash in a URL": f"url: redis://me:a/{CANARY}@cache.example:6379/0\n",
    "a proxy's password without a scheme": f"httpProxy: me:{CANARY}@proxy.example:3128\n",
    "a password in XML": f"settings: <password>{CANARY}</password>\n",
    "a store's password in one word": f"storepass: {CANARY}\ntruststorePass: {CANARY}\nbindPW: {CANARY}\n",
    "a literal for kubectl": f"command: kubectl create secret generic x --from-literal=any={CANARY}\n",
    "a key of a MAC": f"hmac: {CANARY}\n",
    "keys of services": f"tlsKey: {CANARY}\nclient-key: {CANARY}\nlicense_key: {CANARY}\nDD_APP_KEY: {CANARY}\nconsumerKey: {CANARY}\n",
    "a login of a registry": f"auths:\n  registry.example:\n    auth: {CANARY}\n",
    "a login of a registry in JSON": json.dumps({"auths": {"registry.example": {"auth": CANARY}}}),
    "Slack's webhook": f"slack: https://hooks.slack.com/services/T0/B0/{CANARY}\n",
    "Discord's webhook": f"to: https://discord.com/api/webhooks/12/{CANARY}\n",
    "Teams' webhook": f"to: https://acme.webhook.office.com/webhookb2/0a@0b/IncomingWebhook/{CANARY}/1\n",
    "a token in a query under jwt": f"path: /v1?jwt={CANARY}&page=2\n",
    "a session's name": f"sessionId: {CANARY}\n",
    "a SecretList's data": f"kind: SecretList\nitems:\n- data:\n    anything: {encoded(CANARY)[:18]}\n",
    "a SecretList in JSON": json.dumps({"kind": "SecretList", "items": [{"data": {"x": encoded(CANARY)[:18]}}]}),
    "a Secret in JSON in an annotation": "annotation: " + json.dumps(json.dumps({"kind": "Secret", "stringData": {"any": CANARY}})) + "\n",
    "a connection string": f"dsn: Server=h;User Id=u;Password={CANARY};\n",
}  # fmt: skip
PLACES = {
    "alone": "{}",
    "after other things": "org: acme\nvirtualhosts:\n- name: prod-grp\n{}",
    "before other things": "{}\norg: acme\nvirtualhosts: []\n",
}


def leaks(text: str) -> bool:
    forms = {CANARY[:12], encoded(CANARY)[:12], encoded("x" + CANARY)[4:16], encoded("xx" + CANARY)[4:16]}
    return any(form in text for form in forms)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_gone_wherever_it_stands(secret: str, place: str) -> None:
    """Neither it nor its base64 is left, and something says that it was there."""
    text = place.replace("{}", secret)
    assert leaks(text) or leaks(secret)

    redacted = redact(text)

    assert not leaks(redacted)
    assert "redacted" in redacted


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_gone_from_a_value_and_from_findings(secret: str) -> None:
    """The same within a JSON document: as a string of its own, and as parsed content."""
    assert not leaks(json.dumps(redact_value({"findings": [{"evidence": [{"text": secret}]}]})))
    for parse in (json.loads, yaml.safe_load):
        try:
            value = parse(secret)
        except (ValueError, yaml.YAMLError):
            continue
        if isinstance(value, dict):
            assert not leaks(json.dumps(redact_value(value)))


def test_a_password_is_gone_from_the_anchor_that_its_key_refers_to() -> None:
    """``password: *db`` is what ``&db`` stands before, whatever the key there; other anchors stay."""
    text = f"shared:\n  one: &db {CANARY}\n  two: &name acme\ncassandra: {{password: *db}}\nlist:\n- &db2 {CANARY}\n- password: *db2\n"

    assert not leaks(redact(text))
    assert "two: &name acme" in redact(text)


HARMLESS = """\
org: acme-hyb
namespace: apigee
k8sCluster: {name: hyb-1, region: europe-west1}
ingressGateways:
- name: edge-a
  image: {url: "gcr.io/apigee-release/hybrid/apigee-asm-ingress@sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"}
virtualhosts:
- name: prod-grp
  selector: {app: apigee-ingressgateway, ingress_name: edge-a}
  sslSecret: acme-tls
  sslCertPath: ./certs/keystore_prod-grp.pem
  sslKeyPath: ./certs/keystore_prod-grp.key
  minTLSProtocolVersion: "1.2"
  additionalGateways: ["fallback-no-sni"]
  tls: {credentialName: acme-hyb-prod-grp, secretNameRef: acme}
mart:
  serviceAccountPath: ./sa/mart.json
  serviceAccountSecretRefs: {synchronizer: sync-sa}
imagePullSecrets:
- name: pull-me
env:
- name: TOKEN_URL
  value: https://sts.googleapis.com/v1/token
- name: LOG_LEVEL
  value: info
args: [--token-file, /var/run/secrets/token, --secret-name=acme]
arguments:
- --token-file
- /var/run/secrets/token
nodeSelector:
  apigeeRuntime: {key: "cloud.google.com/gke-nodepool", value: "apigee-runtime"}
tolerations:
- key: dedicated
  value: ingress
topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname}]
proxy: https://proxy.example:3128/path
image: gcr.io/apigee/hybrid/proxy:1.14@sha256:0f0f
auth: {enabled: true}
anchors: &shared {app: apigee-ingressgateway}
status: {state: running, lastAppliedGeneration: 4}
"""


def test_what_a_diagnosis_needs_is_left_alone() -> None:
    """Names of secrets, paths of keys, digests and selectors are no secrets."""
    assert redact(HARMLESS) == HARMLESS


@pytest.mark.parametrize(
    "text", ['args: ["--api-token", "x"]', "run --password=x --token x", "smtp_pass: x", "curl -u a:b https://c"]
)
def test_what_is_redacted_is_not_redacted_again(text: str) -> None:
    """A bundle's texts pass twice: the second time changes nothing."""
    once = redact(text)

    assert once != text
    assert once == redact(once)


def test_json_stays_json() -> None:
    """A program can read what was redacted."""
    for secret in SECRETS.values():
        try:
            json.loads(secret)
        except ValueError:
            continue
        assert REDACTED in json.dumps(json.loads(redact(secret)))


@given(st.text(alphabet="{}[]:,\"'\\-\n =passwordtoken", max_size=200))
def test_arbitrary_text_is_redacted_in_bounded_time(text: str) -> None:
    """No text makes it raise, or take long (the test's own time limit says so)."""
    assert isinstance(redact(text), str)


def test_long_runs_take_no_quadratic_time() -> None:
    """A megabyte of one character, of quotes and of keys is done at once."""
    for piece in (
        "A",
        '"',
        "password ",
        "-----BEGIN ",
        "{",
        "eyJ",
        "\\",
        "a://",
        "--token ",
        "name: token, ",
        "aA1-",
        "login a ",
        "token",
        "session-id",
        "x: &a y\npassword: *a\n",
        "a://a:",
    ):
        redact(piece * (100_000 // len(piece)))
