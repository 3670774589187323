from app.worker.system import SystemMetrics


def test_a_sample_tells_of_the_machine_and_the_process() -> None:
    times = iter([0.0, 0.5, 10.0, 10.5, 20.0])
    system = SystemMetrics(lambda: {"gpu_0_utilization_percentage": 50.0}, clock=lambda: next(times))
    assert system.sample() == {}  # too soon
    found = system.sample()
    assert all(key.startswith("system/") for key in found)
    assert 0 <= found["system/cpu_utilization_percentage"] <= 100
    assert 0 < found["system/system_memory_usage_percentage"] < 100
    assert 10 < found["system/process_memory_usage_megabytes"] < found["system/system_memory_usage_megabytes"] + 1e4
    assert found["system/process_cpu_utilization_percentage"] >= 0
    assert found["system/gpu_0_utilization_percentage"] == 50
    assert system.sample() == {}
    assert set(system.sample()) == set(found)


def test_a_driver_that_fails_is_left_alone() -> None:
    asked = []

    def broken() -> dict[str, float]:
        asked.append(True)
        raise RuntimeError("not supported")

    times = iter([0.0, 10.0, 20.0])
    system = SystemMetrics(broken, clock=lambda: next(times))
    assert "system/cpu_utilization_percentage" in system.sample()
    assert "system/cpu_utilization_percentage" in system.sample()
    assert len(asked) == 1
