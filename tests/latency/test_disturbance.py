"""What disturbs a turn is told from outside the measurement: by other programs, a probe, and standing still."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.base.processes import is_this_machine, listeners, named
from bench.latency.disturbance import SLOWNESS_THAT_DISTURBS, Observed, Watch
from tests.conftest import REPOSITORY

needs_proc = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system has no /proc")


@contextmanager
def busy() -> Iterator[int]:
    """Another program that takes a processor."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@needs_proc
def test_what_works_for_the_measured_system_is_no_other_program() -> None:
    with busy() as pid, Watch() as watch, watch.turn(()) as foreign, watch.turn((pid,)) as own:
        time.sleep(0.6)
    assert 0 <= own.observed.others_share < foreign.observed.others_share


def test_a_share_is_not_known_where_the_processes_are_not_or_the_turn_is_short() -> None:
    with Watch() as watch:
        with watch.turn(None) as unknown:
            time.sleep(0.3)
        with watch.turn(()) as short:
            pass
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            ended.wait()
        with watch.turn((ended.pid,)) as gone:
            time.sleep(0.3)
    assert all(math.isnan(one.observed.others_share) for one in (unknown, short, gone))


def test_each_sign_beyond_its_limit_is_a_reason_and_none_is_below() -> None:
    with Watch() as watch:
        quiet = watch.quiet_probe
        assert watch.reasons(Observed(0.19, 0.4, quiet)) == []
        assert watch.reasons(Observed(math.nan, 0.0, quiet)) == []
        assert watch.reasons(Observed(0.45, 0.0, quiet)) == ["other programs took 45 % of the processors"]
        assert watch.reasons(Observed(0.0, 1.25, quiet)) == ["this process stood still for 1.2 s"]
        (slow,) = watch.reasons(Observed(0.0, 0.0, 2 * quiet))
        assert slow == "a fixed piece of work between turns took 2.0 times as long as on a quiet machine"
        assert watch.reasons(Observed(0.0, 0.0, 0.99 * SLOWNESS_THAT_DISTURBS * quiet)) == []
        assert len(watch.reasons(Observed(0.45, 1.2, 2 * quiet))) == 3


def test_a_turn_in_which_the_process_was_stopped_is_told() -> None:
    code = (
        "import sys, time\nfrom bench.latency.disturbance import Watch\n"
        "with Watch() as watch, watch.turn(()) as sighting:\n"
        "    print('begun', flush=True)\n    sys.stdin.readline()\n"
        "print(sighting.observed.standstill, *watch.reasons(sighting.observed), sep='|')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGCONT)
        told, _ = process.communicate("go\n", timeout=60)
    seconds, *reasons = told.strip().split("|")
    assert float(seconds) >= 0.8
    assert any(reason.startswith("this process stood still") for reason in reasons)


def test_work_that_holds_up_the_ticks_is_no_standstill() -> None:
    with Watch() as watch, watch.turn(()) as sighting:
        sum(range(40_000_000))  # some .6 s, in which no other thread of this process comes to work
    # On a machine that lets this process wait for longer than it works, it does stand still.
    assert sighting.observed.standstill == 0.0 or sighting.observed.others_share > 0.2


# -- whose an address is -------------------------------------------------------------------------------------------


@needs_proc
def test_who_listens_at_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listeners(port) == (os.getpid(),)
    assert listeners(port) == ()
    assert os.getpid() in named(Path("/proc/self/comm").read_text().strip()[:4])


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("[::1]", True),
        ("192.0.2.1", False), ("2001:db8::1", False), ("nowhere.invalid", False), ("", False),
    ],
)  # fmt: skip
def test_an_address_is_told_to_be_this_machine_s_or_not(host: str, own: bool) -> None:
    assert is_this_machine(host) is own
