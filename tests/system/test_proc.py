import os
import subprocess
import sys

from app.system.proc import read_machine_id, read_private_bytes, read_resident_bytes, read_start_time


def test_a_process_has_one_start_time_until_it_ends() -> None:
    own = read_start_time(os.getpid())
    assert own is not None and own == read_start_time(os.getpid())
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    started = read_start_time(child.pid)
    assert started is not None and int(started) >= int(own)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert read_start_time(child.pid) is None  # dead, though not reaped
    child.wait()
    assert read_start_time(child.pid) is None


def test_processes_of_one_machine_agree_on_it() -> None:
    script = "from app.system.proc import read_machine_id; print(read_machine_id())"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == read_machine_id()


def test_the_size_of_this_process_is_known() -> None:
    assert read_resident_bytes() > 1 << 20
    assert read_private_bytes() > 1 << 20
