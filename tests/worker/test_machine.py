import os
import subprocess
import sys

from app.worker.machine import birth, capabilities, machine_id


def test_a_process_has_one_birth_until_it_ends() -> None:
    assert birth(os.getpid()) == birth(os.getpid()) is not None
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    born = birth(child.pid)
    assert born is not None and int(born) >= int(birth(os.getpid()) or 0)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert birth(child.pid) is None  # dead, though not reaped
    child.wait()
    assert birth(child.pid) is None


def test_processes_of_one_machine_agree_on_it() -> None:
    script = "from app.worker.machine import capabilities, machine_id; print(machine_id())"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == machine_id()


def test_a_machine_says_what_it_offers() -> None:
    offered = capabilities("cpu", 3)
    assert (offered.devices, offered.threads, offered.gpu_memory_gb) == (("cpu",), 3, None)
    assert offered.memory_gb and offered.memory_gb > 0
    assert capabilities("cuda:1", 1).devices == ("cuda",)
