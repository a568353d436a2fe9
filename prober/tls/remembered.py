"""A bounded memory for results that cost much and recur."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Remembered"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Two generations of results: what is asked for stays, what is not is forgotten, and a hit costs one look-up.

    ``capacity`` is the weight that both generations hold at most; the weight of an entry is the caller's, in bytes for what
    strangers send. Better here than `functools.lru_cache`, which counts entries: a peer chooses how large its certificates are.
    """

    __slots__ = ("_capacity", "_old", "_weights", "_young", "weight")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity // 2
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._weights: dict[K, int] = {}
        self.weight = 0
        """Of the young generation."""

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, key: K) -> V | None:
        """The result, or None."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self._keep(key, value, self._weights[key])
        return value

    def keep(self, key: K, value: V, weight: int = 1) -> V:
        """The result, remembered. One that alone weighs more than half the capacity is not."""
        if weight <= self._capacity:
            self._keep(key, value, weight)
        return value

    def _keep(self, key: K, value: V, weight: int) -> None:
        if self.weight + weight > self._capacity:
            self._old, self._young = self._young, {}
            self._weights = {known: self._weights[known] for known in self._old}
            self.weight = 0
        self._young[key] = value
        self._weights[key] = weight
        self.weight += weight
