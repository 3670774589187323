import pytest
import torch

from app import devices
from app.errors import InvalidValue

CPU = torch.device("cpu")


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int, capability: tuple[int, int] = (8, 0)) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)


def test_auto_takes_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch):
    with_gpus(monkeypatch, 0)
    assert devices.resolve_device("auto") == CPU
    with_gpus(monkeypatch, 2)
    assert devices.resolve_device("auto") == torch.device("cuda", 0)
    assert devices.resolve_device("cuda:1") == torch.device("cuda", 1)
    assert devices.resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "mps"])
def test_unknown_devices_are_refused(name: str, monkeypatch: pytest.MonkeyPatch):
    with_gpus(monkeypatch, 1)
    with pytest.raises(InvalidValue, match="unknown device"):
        devices.resolve_device(name)


@pytest.mark.parametrize(("name", "count", "said"), [("cuda", 0, "no usable CUDA"), ("cuda:2", 2, "2 CUDA")])
def test_an_absent_device_is_said_to_be_absent(name: str, count: int, said: str, monkeypatch: pytest.MonkeyPatch):
    with_gpus(monkeypatch, count)
    with pytest.raises(InvalidValue, match=said):
        devices.resolve_device(name)


def test_bfloat16_where_the_hardware_has_it(monkeypatch: pytest.MonkeyPatch):
    gpu = torch.device("cuda", 0)
    with_gpus(monkeypatch, 1, (7, 5))
    assert devices.resolve_dtype("auto", gpu) == torch.float32
    with_gpus(monkeypatch, 1, (9, 0))
    assert devices.resolve_dtype("auto", gpu) == torch.bfloat16
    for capabilities, dtype in [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda capabilities=capabilities: capabilities)
        assert devices.resolve_dtype("auto", CPU) == dtype


def test_a_dtype_can_be_set():
    assert devices.resolve_dtype("float32", CPU) == torch.float32
    assert devices.resolve_dtype("bfloat16", CPU) == torch.bfloat16
    with pytest.raises(InvalidValue, match="float16"):
        devices.resolve_dtype("float16", CPU)


@pytest.mark.parametrize(
    ("count", "expected"), [(8, (1, 7, 7)), (5, (1, 4, 4)), (4, (4, 1, 4)), (2, (2, 1, 2)), (1, (1, 1, 1))]
)
def test_forwards_follow_the_processors_that_may_be_used(
    count: int, expected: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cpu_count", lambda: count)
    assert devices.serving_forwards(CPU) == expected
    for asked in (None, 3):
        assert devices.serving_forwards(torch.device("cuda"), asked).at_once == 1


@pytest.mark.parametrize(
    ("at_once", "threads", "expected"),
    [(None, 1, (1, 1, 1)), (None, 3, (1, 3, 3)), (4, None, (4, 2, 8)), (3, None, (3, 2, 8)), (2, 3, (2, 3, 3))],
)
def test_forwards_and_their_threads_can_be_set(
    at_once: int | None, threads: int | None, expected: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cpu_count", lambda: 8)
    assert devices.serving_forwards(CPU, at_once, threads) == expected


def test_out_of_memory_is_told_from_other_errors():
    assert devices.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not devices.is_out_of_memory(RuntimeError("shape mismatch"))
    assert not devices.is_out_of_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert devices.is_out_of_memory(error.value)


def test_memory_can_be_handed_back():
    devices.free_memory(CPU)


def test_the_use_of_a_gpu(monkeypatch: pytest.MonkeyPatch):
    gpu = torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (25_000_000, 100_000_000))
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 87)
    memory = {"gpu_1_memory_usage_megabytes": 75.0, "gpu_1_memory_usage_percentage": 75.0}
    assert devices.gpu_metrics(gpu) == {**memory, "gpu_1_utilization_percentage": 87.0}

    def without_nvml(device: torch.device) -> int:
        raise ModuleNotFoundError("nvidia-ml-py")

    monkeypatch.setattr(torch.cuda, "utilization", without_nvml)
    assert devices.gpu_metrics(gpu) == memory
    assert devices.gpu_metrics(CPU) == {}


def test_several_devices_serve_together(monkeypatch: pytest.MonkeyPatch):
    with_gpus(monkeypatch, 2)
    gpus = devices.resolve_devices(["cuda:0", "cuda:1"])
    assert devices.name_devices(gpus) == ["cuda:0", "cuda:1"]
    assert devices.name_devices(devices.resolve_devices(["cpu", "cpu"])) == ["cpu:0", "cpu:1"]
    assert devices.name_devices(devices.resolve_devices(["cpu"])) == ["cpu"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cuda:0", "cuda:7"], "'cuda:7' is not available"),
        (["cuda:0", "cuda"], "'cuda:?0?' is named more than once"),
        (["cpu", "cuda:1"], "'cuda:1' is not of the kind of 'cpu'"),
        (["cpu", ""], "unknown device ''"),
    ],
)
def test_devices_that_cannot_serve_together(names: list[str], said: str, monkeypatch: pytest.MonkeyPatch):
    with_gpus(monkeypatch, 2)
    with pytest.raises(InvalidValue, match=said):
        devices.resolve_devices(names)


def test_devices_that_are_the_cpu_share_its_processors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "cpu_count", lambda: 32)
    assert devices.serving_forwards(CPU, sharing=4) == (1, 7, 7)
    monkeypatch.setattr(devices, "cpu_count", lambda: 2)
    assert devices.serving_forwards(CPU, sharing=4) == (1, 1, 1)


def test_bfloat16_only_if_all_devices_have_it(monkeypatch: pytest.MonkeyPatch):
    with_gpus(monkeypatch, 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8 if device.index else 7, 0))
    gpus = devices.resolve_devices(["cuda:0", "cuda:1"])
    assert devices.resolve_dtype("auto", *gpus) == torch.float32
    assert devices.resolve_dtype("auto", gpus[1]) == torch.bfloat16
