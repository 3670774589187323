import subprocess
import sys
from pathlib import Path

import pytest

NICE = """
import os
from pathlib import Path
from app.system.priority import lower_priority

lower_priority(10)
print(os.nice(0), Path("/proc/self/autogroup").read_text())
"""


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroups")
def test_niceness_counts_beside_other_sessions():
    done = subprocess.run(
        [sys.executable, "-c", NICE], check=True, capture_output=True, text=True, start_new_session=True
    )
    own, _, session = done.stdout.partition(" ")
    assert int(own) == 10
    assert session.strip().endswith("nice 10")
