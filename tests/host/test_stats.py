from dataclasses import dataclass

from outdial.host.pool.stats import LimitBreach, ProcessMonitor, ProcessStatus
from outdial.host.wire.config import FunctionConfig

LIMITS = FunctionConfig(cpu_ms=2_000, memory_mb=100)


@dataclass
class Process:
    cpu: float = 50.0
    memory: float = 10.0
    thread_count: int = 5

    def cpu_ms(self) -> float:
        return self.cpu

    def status(self) -> ProcessStatus:
        return ProcessStatus(self.memory, self.thread_count)


def test_too_many_threads_are_a_breach() -> None:
    process = Process(thread_count=128)
    monitor = ProcessMonitor(process, LIMITS)

    assert monitor.check_memory_and_threads() is None
    process.thread_count = 129
    assert monitor.check_memory_and_threads() == LimitBreach("threads", 128, 129)


def test_memory_over_the_limit_is_a_breach() -> None:
    process = Process(memory=80.0)
    monitor = ProcessMonitor(process, LIMITS)

    assert monitor.check_memory_and_threads() is None
    assert not monitor.is_heavy
    process.memory = 130.2
    assert monitor.check_memory_and_threads() == LimitBreach("memory", 100, 131)


def test_a_worker_is_heavy_near_its_limit() -> None:
    monitor = ProcessMonitor(Process(memory=81.0), LIMITS)

    assert monitor.check_memory_and_threads() is None
    assert monitor.is_heavy


def test_a_silent_busy_worker_is_spinning_and_then_exceeds_its_limit() -> None:
    process = Process()
    monitor = ProcessMonitor(process, LIMITS)
    assert monitor.check_cpu(0.0, finished=1, heartbeats=0, in_flight=1) is None

    process.cpu += 300
    assert monitor.check_cpu(0.3, finished=1, heartbeats=0, in_flight=1) is None
    assert monitor.spinning
    process.cpu += 1_600
    assert monitor.check_cpu(2.0, finished=1, heartbeats=0, in_flight=1) is None
    process.cpu += 150
    assert monitor.check_cpu(2.1, finished=1, heartbeats=0, in_flight=1) == LimitBreach("cpu", 2_000, 2_050)


def test_a_finished_request_restarts_the_count() -> None:
    process = Process()
    monitor = ProcessMonitor(process, LIMITS)
    monitor.check_cpu(0.0, finished=1, heartbeats=0, in_flight=1)
    process.cpu += 1_900
    monitor.check_cpu(1.9, finished=1, heartbeats=0, in_flight=1)

    process.cpu += 200
    assert monitor.check_cpu(2.1, finished=2, heartbeats=0, in_flight=1) is None
    assert not monitor.spinning
    process.cpu += 1_900
    assert monitor.check_cpu(4.0, finished=2, heartbeats=0, in_flight=1) is None


def test_heartbeats_delay_the_limit_to_twice_that_of_the_requests_in_flight() -> None:
    for in_flight, most in ((1, 4_000), (3, 12_000)):
        process = Process()
        monitor = ProcessMonitor(process, LIMITS)
        monitor.check_cpu(0.0, finished=1, heartbeats=0, in_flight=in_flight)

        for heartbeat in range(1, most // 1_000 + 1):
            process.cpu += 1_000
            found = monitor.check_cpu(float(heartbeat), finished=1, heartbeats=heartbeat, in_flight=in_flight)
            assert found is None
            assert not monitor.spinning
        process.cpu += 10
        found = monitor.check_cpu(most / 1_000 + 0.3, finished=1, heartbeats=most, in_flight=in_flight)
        assert found == LimitBreach("cpu", 2_000, most + 10)


def test_heartbeats_of_an_idle_worker_mean_nothing() -> None:
    process = Process()
    monitor = ProcessMonitor(process, LIMITS)
    monitor.check_cpu(0.0, finished=1, heartbeats=0, in_flight=0)

    found = None
    for second in (1, 2, 3):
        process.cpu += 900
        found = monitor.check_cpu(float(second), finished=1, heartbeats=second, in_flight=0)

    assert found == LimitBreach("cpu", 2_000, 2_700)


def test_a_worker_that_waits_for_io_is_silent_but_not_spinning() -> None:
    process = Process()
    monitor = ProcessMonitor(process, LIMITS)
    monitor.check_cpu(0.0, finished=1, heartbeats=0, in_flight=1)

    process.cpu += 20
    assert monitor.check_cpu(60.0, finished=1, heartbeats=0, in_flight=1) is None
    assert not monitor.spinning


def test_occasional_background_work_does_not_add_up() -> None:
    process = Process()
    monitor = ProcessMonitor(process, LIMITS)
    for second in range(100):
        process.cpu += 100
        assert monitor.check_cpu(float(second), finished=1, heartbeats=0, in_flight=0) is None


def test_spinning_background_work_exceeds_the_limit() -> None:
    process = Process()
    monitor = ProcessMonitor(process, LIMITS)
    monitor.check_cpu(0.0, finished=1, heartbeats=0, in_flight=0)

    found = None
    for second in (1.0, 2.0, 3.0):
        process.cpu += 900
        found = monitor.check_cpu(second, finished=1, heartbeats=0, in_flight=0)

    assert found == LimitBreach("cpu", 2_000, 2_700)
