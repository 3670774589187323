from app.worker.machine import capabilities


def test_a_machine_says_what_it_offers() -> None:
    offered = capabilities("cpu", 3)
    assert (offered.devices, offered.threads, offered.gpu_memory_gb) == (("cpu",), 3, None)
    assert offered.memory_gb and offered.memory_gb > 0
    assert capabilities("cuda:1", 1).devices == ("cuda",)
