"""The service's own metrics: a collector over `prober.snapshot.Statistics`, on a registry of its own.

No state is kept here: every scrape reads what is counted now, so that a series exists exactly as long as what it counts.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from prober.outlets.metrics import SERVICE_METRICS, Metric
from prober.snapshot import Histogram
from prober.version import __version__

if TYPE_CHECKING:
    from prober.operations import Operations

__all__ = ["ServiceCollector", "service_registry"]


def service_registry(operations: Operations) -> CollectorRegistry:
    """Everything of ``/metrics`` that is not about targets: ``prober_*``, ``process_*``, ``python_gc_*``."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(ServiceCollector(operations))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class ServiceCollector:
    """prometheus_client's Collector protocol over the running service."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def describe(self) -> Iterable[Family]:
        """The families without samples, so that registering the collector reads nothing."""
        return [_family(metric) for metric in SERVICE_METRICS]

    def collect(self) -> Iterator[Family]:
        """The families as they are now, in the table's order."""
        now = self._values()
        for metric in SERVICE_METRICS:
            family = _family(metric)
            for labels, value in now[metric.name]:
                if isinstance(value, Histogram):
                    family.add_metric(labels, _buckets(value), value.sum)
                else:
                    family.add_metric(labels, value)
            yield family

    def _values(self) -> dict[str, Samples]:
        count = self._operations.statistics
        return {
            "prober_build_info": [((__version__, platform.python_version()), 1)],
            "prober_config_last_reload_successful": [((), int(count.reload_successful))],
            "prober_config_last_reload_success_timestamp_seconds": [((), count.reload_success_timestamp)],
            "prober_web_config_last_reload_successful": [((), int(count.web_file_usable))],
            "prober_targets": [((source,), number) for source, number in count.targets.items()],
            "prober_endpoints": [((), len(self._operations.store))],
            "prober_handshakes_in_flight": [((), count.in_flight())],
            "prober_schedule_lateness_seconds": [((), count.lateness)],
            "prober_probes_skipped_total": [((reason,), number) for reason, number in count.skipped.items()],
            "prober_local_errors_total": [((errno,), number) for errno, number in count.local_errors.items()],
            "prober_handshake_seconds": list(count.handshake_seconds.items()),
            "prober_discovery_last_success_timestamp_seconds": [
                ((source,), at) for source, at in count.discovery_success.items()
            ],
            "prober_discovery_problems": [((source,), number) for source, number in count.discovery_problems().items()],
            "prober_notifications_total": list(count.notifications.items()),
            "prober_notification_queue_length": [((), count.notification_queue)],
            "prober_state_errors_total": [((reason,), number) for reason, number in count.state_errors.items()],
            "prober_workers": [((), count.workers())],
            "prober_worker_deaths_total": [((), count.worker_deaths)],
            "prober_state_unsaved_changes": [((), count.state_unsaved())],
            "prober_shard_info": [((str(count.shard), str(count.shards)), 1)],
            "prober_shards": [((), count.shards)],
            "prober_vantage_info": [((count.vantage,), 1)] if count.vantage else [],
        }


Samples = Sequence[tuple[tuple[str, ...], float | Histogram]]
"""Label values in the table's order, and the value."""

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


def _family(metric: Metric) -> Any:
    """An empty family; the three classes have no common type with ``add_metric``."""
    return _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative, ``+Inf`` last, as Prometheus wants them."""
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
