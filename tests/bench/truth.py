"""Are the reported milliseconds the server's? Each is held against the server's own clock.

The server asks the kernel when the first bytes of a client arrived, and notes when it had given its answer back to the kernel: on
loopback both cross at once, so the difference is the true time of the exchange. Every handshake has an address of its own, by
which the two are matched. Bias is what is reported, less that: by `prober once`, the whole process, and by its engine alone, which
has nothing else to do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from prober.probing.packet_clock import PacketClock, PacketClockUnavailable
from tests.bench.contenders import once_command
from tests.bench.figures import percentile
from tests.bench.machine import CPUS, run
from tests.bench.peers.native import c_server
from tests.bench.servers import SERVER_NAME, Servers, address
from tests.bench.sizes import Sizes

__all__ = ["hold"]

_KINDS = (("rst", "reset"), ("canned", "certificate"))
_ONCE, _PACKETS, _ENGINE = "prober once", "once, packets", "prober's engine"
"""The second with ``--packet-timestamps``: it is for resets alone, and for who may."""


def hold(servers: Servers, sizes: Sizes) -> int:
    """Print the table; how many outcomes were wrong."""
    print("\ntruth: reported less true time of the exchange, in ms (p1, p50, p99); uncertainty as reported, in ms (p50, p99)")
    concurrencies = tuple(each for each in sizes.concurrencies if each > 1) or sizes.concurrencies
    return sum(
        _row(servers, who, mode, outcome, each, sizes.truth)
        for mode, outcome in _KINDS
        for each in concurrencies
        for who in (_ONCE, *([_PACKETS] if outcome == "reset" and _packets_can_be_stamped() else []), _ENGINE)
    )


def _packets_can_be_stamped() -> bool:
    try:
        PacketClock().close()
    except PacketClockUnavailable as reason:
        print(f"!! resets timed by packets are left out: {reason}", flush=True)
        return False
    return True


def _row(servers: Servers, who: str, mode: str, outcome: str, concurrency: int, count: int) -> int:
    targets = servers.directory / "truth.txt"
    with c_server(mode, servers.flight if mode == "canned" else None, truth=True, cpu=CPUS.server) as server:
        targets.write_text("".join(f"{address(number)}:{server.port}\n" for number in range(count)))
        alone = [sys.executable, "-m", "tests.bench.peers.engine_alone", server.port, concurrency, count, SERVER_NAME, "each"]
        whole = [*once_command(targets, servers.authority, concurrency), "--sni", "known"]
        more = ["--packet-timestamps"] if who == _PACKETS else []
        ran = run(alone if who == _ENGINE else [*whole, *more])
        truth = {answer.address: (answer.answered - answer.asked) * 1e-9 for answer in server.stop()}
    biases, uncertainties, true = [], [], []
    wrong = inside = 0
    assert ran.status in {0, 1}, ran.errors
    for line in ran.output.splitlines():
        result = json.loads(line)
        [handshake] = result["handshakes"]
        if handshake["outcome"] != outcome:
            wrong += 1
            continue
        bias = handshake["seconds"]["handshake"] - truth[result["address"]]
        biases.append(bias)
        true.append(truth[result["address"]])
        uncertainty = handshake["seconds"].get("uncertainty")
        if uncertainty is not None:
            uncertainties.append(uncertainty)
            # What is reported is the latest moment; 20 µs are the way through the kernel, both ways.
            inside += -20e-6 <= bias <= uncertainty + 20e-6
    print(
        f"  {who:15} {outcome:11} concurrency {concurrency:4}: bias {_milliseconds(biases, 0.01, 0.5, 0.99)}; true {_milliseconds(true, 0.5)}",
        end="",
    )
    if uncertainties:
        share = 100 * inside / len(uncertainties)
        print(f"; uncertainty {_milliseconds(uncertainties, 0.5, 0.99)}, bias within it for {share:.1f} %", flush=True)
    else:
        print("; no uncertainty is reported", flush=True)
    if wrong:
        print(f"!! {who}: {wrong} of {count} outcomes were WRONG", file=sys.stderr)
    return wrong


def _milliseconds(values: Sequence[float], *shares: float) -> str:
    return " ".join(f"{percentile(values, share) * 1e3:.3f}" for share in shares)
