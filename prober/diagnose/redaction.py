"""Taking secrets out of text before it leaves the house. Pure.

By what a value looks like (private keys, tokens, credentials in URLs, base64 of any of them) and by the name of the key that it stands
under, in YAML, JSON, and JSON inside of either. What only *names* a secret (``sslSecret``, ``credentialName``, ``sslKeyPath``) stays: a
diagnosis needs it. In doubt, out: a bundle without a harmless value is still a bundle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial

__all__ = ["REDACTED", "redact", "redact_value"]

REDACTED = "[redacted]"

# Names under which a value is secret, and names that only refer to one. Compared without case, hyphens and underscores; a name is
# taken as a whole at its first telling word, since going back into one of a hundred thousand letters takes minutes.
_TELLING = (
    r"(?>[\w.-]*?(?:passw(?:or)?d|(?<!by)(?<!com)pass(?![a-z])|passphrase|passcode|pwd|(?:(?<![a-z])|bind)pw(?![a-z])|secret|token|hmac|jwt(?![a-z])|salt"
    r"|(?:priv(?:ate)?|encryption|api|app(?:lication)?|access|account|auth|client|consumer|deploy|licen[cs]e|master|server|shared|signing|ssh|ssl|storage|tls)"
    r"[-_.]?key|credentials?|authorization|cookie|session[-_]?id|user[-_]?name)[\w.-]*+)"
)
_REFERENCE = re.compile(
    r"(?i)(?!.*user[-_]?name$)(?:.*(?:name|names|path|file|ref|refs|nameref|namespace|provider|type|enabled|class|mode|version|algorithm|key_?id|url|uri)"
    r"|sslsecret|imagepullsecrets|existingsecret|authsecret|k8ssecret|.*tokencreator.*|automountserviceaccounttoken)$"
)
_BLOCK_LINE = re.compile(rf"(?im)^(?P<indent>[ \t]*(?:- +)*)(?P<quote>[\"']?)(?P<key>{_TELLING})(?P=quote)[ \t]*:(?P<value>.*)$")
_DATA_LINE = re.compile(
    r"(?im)^(?P<indent>[ \t]*(?:- +)*)(?P<quote>[\"']?)(?P<key>data|stringData|binaryData)(?P=quote)[ \t]*:(?P<value>.*)$"
)
# --token, and with one hyphen what Java's keytool and OpenSSL take
_OPTION_NAME = r"(?:--(?![\w-]*(?:file|path|name|ref)\b)[\w-]{0,40}(?:password|passwd|token|secret|api-?key)[\w-]{0,20}|-(?:store|key|srcstore|deststore)pass)"
_OPTION = re.compile(f"(?i){_OPTION_NAME}")
# An entry of an environment over two lines: the value's key is made a telling one while the lines are looked at.
_NAMED = re.compile(
    rf"(?im)^([ \t]*(?:- +)*[\"']?(?:name|key)[\"']?[ \t]*:[ \t]*[\"']?({_TELLING})[\"']?[ \t]*\r?\n[ \t]+)([\"']?)(value[\"']?[ \t]*:)"
)
# The same with its value first, as people write it and no program does.
_NAMED_BEHIND = re.compile(
    rf"(?im)^([ \t]*(?:- +)+)([\"']?)(value[\"']?[ \t]*:.*\n[ \t]+[\"']?(?:name|key)[\"']?[ \t]*:[ \t]*[\"']?({_TELLING})[\"']?[ \t]*\r?)$"
)
_MARK = "password_marked_by_prober_"
_SECRET_KIND = re.compile(r"""\bkind(?:\\{0,8}["'])?\s*:\s*(?:\\{0,8}["'])?Secret(?:List)?\b""")
# password: *pw has its value where &pw stands.
_ALIAS = re.compile(rf"""(?i)(?:(?P<q>["'])|(?<![\w.-])){_TELLING}(?(q)(?P=q))[ \t]*:[ \t]*\*(?P<anchor>[\w.-]+)""")
_ANCHOR_LINE = re.compile(r"^(?P<indent>[ \t]*(?:- +)*)(?P<quote>)(?:[^:\n&]*:[ \t]+)?(?P<value>&(?P<key>[\w.-]+).*)$")
# In one line: {password: x}, {"password": "x"}, and the same escaped inside of a JSON string; and NAME=value of environments.
# Backslashes are counted, so that a long run of them takes no quadratic time.
_INLINE = re.compile(
    rf"""(?ix)(?:(?P<q>\\{{0,8}}["'])|(?<![\w.-]))(?P<key>{_TELLING})(?(q)\\{{0,8}}["'])\s*[:=]\s*
    (?P<value>\\{{1,8}}"(?:[^"\\]|\\+[^"\\])*\\{{1,8}}"|"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'].*)"""
)
_DATA_INLINE = re.compile(r"""((?:data|stringData|binaryData)(?:\\{0,8}["'])?\s*:\s*)\{[^{}]*\}""")

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    # RFC 7468, also with its line ends written as \n; a block that is cut off is secret to the end of its text.
    (
        re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)", re.DOTALL),
        REDACTED,
    ),
    (re.compile(r"-----BEGIN PGP MESSAGE-----.*?(?:-----END PGP MESSAGE-----|\Z)", re.DOTALL), REDACTED),
    # base64 of "-----BEGIN ", over lines that are folded or indented
    (re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]*(?:(?:\\n|\s)+[A-Za-z0-9+/=]{16,})*"), REDACTED),
    # base64 of JSON: service accounts ({"type" with or without white space) and JSON Web Tokens
    (re.compile(r"\b(?:ewog|ewoJ|ew0K|eyA|eyJ)[A-Za-z0-9+/=_-]{16,}(?:\.[A-Za-z0-9+/=_-]+)*(?:\s+[A-Za-z0-9+/=]{16,})*"), REDACTED),
    # environments: {name: DB_PASSWORD, value: x}; command lines: --token x, ["--token", "x"], also as a list with an item a line; netrc
    (
        re.compile(
            rf"""(?i)((?:\\{{0,8}}["'])?\b(?:name|key)(?:\\{{0,8}}["'])?\s{{0,9}}:\s{{0,9}}(?:\\{{0,8}}["'])?{_TELLING}(?:\\{{0,8}}["'])?\s{{0,9}},"""
            r"""\s{0,9}(?:\\{0,8}["'])?value(?:\\{0,8}["'])?\s{0,9}:\s{0,9})(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|\\{1,8}"[^"\\]*\\{1,8}"|[^,}\n]+)"""
        ),
        rf"\1{REDACTED}",
    ),
    (
        re.compile(
            rf"""(?i)(?<![\w-])({_OPTION_NAME}["']?(?:[ \t]*\r?\n[ \t]*-[ \t]+|\s|,|=)\s{{0,9}}["']?)(?!\[redacted\])[^\s"',\]]+"""
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?i)(\bcurl\b[^\n]{0,400}?\s(?:-u|--user|--proxy-user)[\s=]{1,9}[\"']?[^\s:\"']{1,200}:)[^\s\"']+"), rf"\1{REDACTED}"),
    (re.compile(r"(--from-literal[\s=]{1,9}[\"']?[\w.-]{1,200}=)(?!\[redacted\])[^\s\"']+"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)(<([\w.:-]{0,40}(?:password|passwd|secret|token)[\w.-]{0,40})>)[^<>]+(</\2>)"), rf"\1{REDACTED}\3"),
    # a registry's login in Docker's configuration; the key auth has other things below it elsewhere
    (re.compile(r"""(?im)((?:^[ \t]*|[{,]\s*)(?:\\{0,8}["'])?auth(?:\\{0,8}["'])?[ \t]*:[ \t]*(?:\\{0,8}["'])?)(?!\[redacted\])[^\s"'\\\[\]{}&*|>,]{8,}"""), rf"\1{REDACTED}"),
    # where a chat's messages go is all that it takes to send some
    (re.compile(r"(?i)(\bhooks\.slack\.com/[\w-]+/|\bdiscord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/[\w-]+/)[^\s\"'<>]+"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)\b(login\s{1,9}\S{1,200}\s{1,9}password\s{1,9})\S+"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic|negotiate)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {REDACTED}"),
    # RFC 3986 §3.2.1: user information
    (re.compile(r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,40}://)[^\s/@\"'<>]+@"), rf"\1{REDACTED}@"),
    # and as people write it: a / that is not escaped, or no scheme
    (re.compile(r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,40}://)[^\s/@:\"'<>]{0,200}:(?!\d{1,5}/)[^\s@\"'<>]{1,200}@"), rf"\1{REDACTED}@"),
    (re.compile(r"(?i)(\A|proxy[\"']?[ \t]*[:=][ \t]*[\"']?)(?!\[redacted\])[^\s:@/\"'<>]{1,200}:[^\s@\"'<>]{1,200}@"), rf"\1{REDACTED}@"),
    (re.compile(r"\b(?:ya29\.|gh[pousr]_|github_pat_|xox[abprs]-|glpat-|[rs]k_live_|hvs\.|SG\.[\w-]{16,})[\w.-]{8,}"), REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}|\bGOCSPX-[\w-]{10,}|\bGOOG1E[A-Z0-9]{30,}|\bAGE-SECRET-KEY-1[A-Z0-9]{20,}"), REDACTED),
    (re.compile(r"\$apr1\$[\w./]{1,16}\$[\w./]{16,}"), REDACTED),
    (
        re.compile(r"(?i)([?&;](?:[\w.-]*(?:token|password|passwd|secret|api_?key|apikey|signature|sig|code|key|jwt|session_?id|assertion|hmac|pwd))=)[^&\s\"'#]+"),
        rf"\1{REDACTED}",
    ),
)  # fmt: skip
# A service account's own names, beside its key: whose account it is says more than a diagnosis needs.
_ACCOUNT_KEYS = ("private_key_id", "client_email", "client_id", "client_x509_cert_url")
_ACCOUNT = re.compile(rf"""(?i)\b((?:{"|".join(_ACCOUNT_KEYS)})["'\\]{{0,9}}\s{{0,9}}:\s{{0,9}}["'\\]{{0,9}})[^\s"'\\,}}]+""")
# What nothing names: long base64 with letters of both cases and digits. A digest in lower-case hex is none, nor is a path or a name.
_BASE64 = re.compile(
    r"(?<![\w./+-])(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*\d)[A-Za-z0-9+/]{40,}={0,2}(?![\w-])"
)
_BASE64URL = re.compile(
    r"(?<![\w./+-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)(?=[A-Za-z0-9]*[-_])[A-Za-z0-9_-]{40,}={0,2}(?![\w-])", re.ASCII
)
_PADDED = re.compile(r"(?<![\w./+-])[A-Za-z0-9+/]{22,}={1,2}(?![\w=-])")


def redact(text: str) -> str:
    """``text`` without its secrets. What is no secret keeps its line, so that line numbers in findings stay right.

    JSON is read, redacted and written again, so that it stays JSON.
    """
    if text.lstrip()[:1] in {"{", "["}:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            end = "\n" if text.endswith("\n") else ""
            return json.dumps(redact_value(value), indent=2 if "\n" in text.strip() else None, ensure_ascii=False) + end
    for shape, replacement in _SHAPES:
        text = shape.sub(partial(_shaped, replacement), text)
    text = _ACCOUNT.sub(rf"\1{REDACTED}", text)
    anchors = {match["anchor"] for match in _ALIAS.finditer(text)} if ": *" in text else set()
    if anchors:
        text = _blocks(text, _ANCHOR_LINE, anchors.__contains__)
    text = _blocks(_NAMED_BEHIND.sub(_marked_before, _NAMED.sub(_marked, text)), _BLOCK_LINE, _is_secret).replace(_MARK, "")
    if _SECRET_KIND.search(text):
        text = _blocks(text, _DATA_LINE, lambda _: True)
        text = _DATA_INLINE.sub(rf"\1{{{REDACTED}}}", text)
    text = "\n".join(map(_inline, text.split("\n")))
    return _PADDED.sub(REDACTED, _BASE64URL.sub(REDACTED, _BASE64.sub(REDACTED, text)))


def redact_value(value: object) -> object:
    """A JSON value with the secrets taken out of its strings, and out of what stands under secret keys."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        # The word behind --token, as a command's arguments are written.
        return [
            REDACTED if isinstance(each, str) and isinstance(before, str) and _OPTION.fullmatch(before) else redact_value(each)
            for before, each in zip([None, *value], value, strict=False)
        ]
    if isinstance(value, dict):
        secret = value.get("kind") == "Secret"
        if value.get("kind") == "SecretList" and isinstance(value.get("items"), list):  # the API's lists do not repeat the kind
            value = {
                **value,
                "items": [{**each, "kind": "Secret"} if isinstance(each, dict) else each for each in value["items"]],
            }
        name = value.get("name") if "name" in value else value.get("key")
        if (
            isinstance(name, str)
            and isinstance(value.get("value"), str)
            and re.fullmatch(f"(?i){_TELLING}", name)
            and _is_secret(name)
        ):
            value = {**value, "value": REDACTED}
        return {
            key: REDACTED
            if (isinstance(key, str) and each is not None and not isinstance(each, bool) and re.fullmatch(f"(?i){_TELLING}", key) and _is_secret(key))
            or (secret and key in {"data", "stringData", "binaryData"})
            or key in _ACCOUNT_KEYS
            or (key == "auth" and isinstance(each, str))
            else redact_value(each)
            for key, each in value.items()
        }  # fmt: skip
    return value


def _marked(match: re.Match[str]) -> str:
    return f"{match[1]}{match[3]}{_MARK}{match[4]}" if _is_secret(match[2]) else match[0]


def _marked_before(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{_MARK}{match[3]}" if _is_secret(match[4]) else match[0]


def _shaped(replacement: str, match: re.Match[str]) -> str:
    return match.expand(replacement) + "\n" * match[0].count("\n")


def _is_secret(key: str) -> bool:
    return _REFERENCE.match(key.strip("\"'")) is None


def _blocks(text: str, pattern: re.Pattern[str], wanted: Callable[[str], bool]) -> str:
    """Values of keys that begin a line: the rest of the line, and the deeper lines below it (block scalars, lists, mappings)."""
    lines = text.split("\n")
    kept: list[str] = []
    hidden: int | None = None
    for line in lines:
        if hidden is not None:
            bare = line.strip()
            depth = len(line) - len(line.lstrip(" \t"))
            closes = bare[:1] in {"}", "]"}
            if not bare or depth > hidden or (depth == hidden and bare.startswith("- ") and not closes):
                kept.append("")
                continue
            hidden = None
        match = pattern.match(line)
        if match is None or not wanted(match["key"]):
            kept.append(line)
            continue
        value = match["value"].strip()
        tail = "," if value.endswith(",") else ""
        quoted = '"' if match["quote"] or value.startswith('"') else ""
        kept.append(f"{line[: match.start('value')]} {quoted}{REDACTED}{quoted}{tail}")
        if not _ends_here(value):
            # The depth of the key itself, without the dash of a list's entry before it.
            hidden = len(match["indent"].replace("-", " "))
    return "\n".join(kept)


def _ends_here(value: str) -> bool:
    """Whether a value is complete in its line, as JSON writes it; in YAML any value may go on, in deeper lines."""
    return value.endswith(",") and value[:1] == '"'


def _inline(line: str) -> str:
    """One line without the values of secret keys in it. A value without quotes ends with its flow mapping, else with its line."""
    kept: list[str] = []
    position = 0
    while (match := _INLINE.search(line, position)) is not None:
        start, end = match.span("value")
        value = match["value"]
        quote = re.match(r"\\*[\"']", value)
        if not _is_secret(match["key"]) or value.startswith(REDACTED):
            # What refers to a secret may stand before one that is.
            end = start
        elif quote is None:
            flow = line.count("{", 0, start) > line.count("}", 0, start)
            end = (
                start + min((place for mark in ",}" if (place := value.find(mark)) >= 0), default=len(value))
                if flow
                else len(line)
            )
        if end == start:
            kept.append(line[position:start])
        else:
            mark = quote[0] if quote is not None else ""
            kept += (line[position:start], mark, REDACTED, mark)
        position = max(end, start)
        if position >= len(line):
            break
    kept.append(line[position:])
    return "".join(kept)
