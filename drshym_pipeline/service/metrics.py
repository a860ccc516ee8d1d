"""The page `/metrics` for Prometheus: requests, jobs, workers, seconds per stage, and the disk space in use.

Each service has a registry of its own, so that two in one process do not share their counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

METRICS_TYPE: Final = CONTENT_TYPE_LATEST
# From the answer of /health to the mapping of a chip.
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_KNOWN_METHODS: Final = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH")


class ServiceMetrics:
    """The counts of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("drshym_requests", "Requests", ("method", "route", "status"), registry=self._registry)
        self._seconds = Histogram(
            "drshym_request_seconds",
            "Time until the answer was sent",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._stages = Counter("drshym_stage_seconds", "Seconds per stage", ("stage",), registry=self._registry)
        self._scenes = Counter("drshym_mapped_scenes", "Finished maps", registry=self._registry)

    def note_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: The method. Unknown ones are counted together, because a client chooses them.
            route: The pattern of the address, such as `/v1/jobs/{id}`.
            status: The status of the answer; 0 if the client went away.
            seconds: The time until the answer was sent.
        """
        name = method if method in _KNOWN_METHODS else "other"
        self._requests.labels(name, route, str(status) if status else "none").inc()
        self._seconds.labels(route).observe(seconds)

    def note_map(self, seconds: Mapping[str, float]) -> None:
        """Count a finished map and the seconds of its stages."""
        self._scenes.inc()
        for stage, spent in seconds.items():
            self._stages.labels(stage).inc(spent)

    def watch(self, read: Callable[[], Iterable[Metric]]) -> None:
        """Add figures that are read anew for each page.

        Args:
            read: Returns them.
        """
        self._registry.register(_Read(read))

    def page(self) -> bytes:
        """Return the page."""
        return generate_latest(self._registry)


class _Read(Collector):
    """Figures that a function returns."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._read()


def gauge(name: str, text: str, value: float) -> Metric:
    """Return one figure that may rise and fall."""
    return GaugeMetricFamily(name, text, value=value)


def labelled_gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return figures that may rise and fall, one for each value of a label."""
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def counter(name: str, text: str, value: float) -> Metric:
    """Return one figure that only rises."""
    return CounterMetricFamily(name, text, value=value)


def labelled_counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return figures that only rise, one for each value of a label."""
    family = CounterMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family
