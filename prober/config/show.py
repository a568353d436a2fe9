"""The running configuration as YAML, for ``/config``: what was written and what was filled in; secrets are never in it.

Secrets come from files that the configuration names; their paths are shown, their contents were never in `Config`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from prober.config.alerting import DEFAULT_ALERTING, Alerting
from prober.config.allow import EVERY_PORT, AllowRule
from prober.config.document import Config
from prober.config.durations import format_duration
from prober.config.http_access import show_access
from prober.config.show_discovery import show_diagnosis, show_source
from prober.model import Module, Target
from prober.notices import Alertmanager, Webhook, masked

__all__ = ["show"]


def show(config: Config) -> str:
    """YAML that `load` reads back as the same configuration, except for what is masked in URLs."""
    whole: dict[str, Any] = {
        "listen": str(config.listen),
        "interval": format_duration(config.interval),
        "timeout": format_duration(config.timeout),
        "modules": {name: _module(module) for name, module in config.modules.items()},
        "targets": [_target(target) for target in config.targets],
    }
    if config.probe_allow:
        whole["probe_allow"] = [_rule(rule) for rule in config.probe_allow]
    if config.discovery:
        whole["discovery"] = [show_source(source) for source in config.discovery]
    if config.diagnosis.written or config.diagnosis.clusters:
        whole["diagnosis"] = show_diagnosis(config.diagnosis)
    if replace(config.alerting, receivers=replace(config.alerting.receivers, vantage="")) != DEFAULT_ALERTING:
        whole["alerting"] = _alerting(config.alerting)
    if config.state is not None:
        whole["state"] = config.state
    if config.vantage is not None:
        whole["vantage"] = config.vantage
    if config.reload_on_change:
        whole["reload_on_change"] = True
    if config.web is not None:
        whole["web_config_file"] = config.web.file
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120)


def _module(module: Module) -> dict[str, Any]:
    return {
        "hello": module.hello,
        "tls": str(module.tls),
        "depth": str(module.depth),
        "sni": [str(sni) for sni in module.sni],
        "timeout": None if module.timeout is None else format_duration(module.timeout),
        "ca_file": module.ca_file,
        "proxy_protocol": module.proxy_protocol,
    }


def _target(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "addresses": [str(address) for address in target.addresses],
        "server_names": list(target.server_names),
        "module": target.module.name,
        "interval": format_duration(target.interval),
        "timeout": format_duration(target.timeout),
        "expect": {"non_sni": str(target.non_sni)},
        "labels": dict(target.labels),
    }


def _rule(rule: AllowRule) -> dict[str, Any]:
    shown: dict[str, Any] = {"networks": [str(network) for network in rule.networks]}
    if rule.ports != (EVERY_PORT,):
        shown["ports"] = [low if low == high else f"{low}-{high}" for low, high in rule.ports]
    return shown


def _alerting(alerting: Alerting) -> dict[str, Any]:
    policy, receivers = alerting.policy, alerting.receivers
    return {
        "failures": policy.failures,
        "resolve_after": policy.resolve_after,
        "for": format_duration(policy.for_seconds),
        "expiry": format_duration(policy.expiry),
        "alertmanagers": [_alertmanager(one) for one in receivers.alertmanagers],
        "webhooks": [_webhook(one) for one in receivers.webhooks],
        **({"external_url": masked(receivers.external_url)} if receivers.external_url else {}),
        **({"runbook_base": masked(receivers.runbook_base)} if receivers.runbook_base else {}),
    }


def _alertmanager(one: Alertmanager) -> str | dict[str, Any]:
    access = show_access(one.access)
    return {"url": masked(one.url), **access} if access else masked(one.url)


def _webhook(webhook: Webhook) -> dict[str, Any]:
    shown = {
        "name": webhook.name,
        "url": webhook.url and masked(webhook.url),
        "url_file": webhook.url_file,
        "secret_file": webhook.secret_file,
    }
    return {key: value for key, value in shown.items() if value is not None}
