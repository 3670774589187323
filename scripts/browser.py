"""Makes sure that the tests of the page have a browser: `python scripts/browser.py`, from `make test`.

Takes what there is: $CHROMIUM, a Chromium of the system, or Playwright's own. Else installs one, by
apt-get where this is root on Debian or its kin, or by Playwright. Where neither works, it says so,
and the tests skip: it never fails. CLOZE_BROWSER=skip leaves the machine as it is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import sync_playwright

from tests.fakes.browser import find_browser

PATIENCE = 300  # seconds for each way of installing


def main() -> None:
    if there():
        return
    if os.environ.get("CLOZE_BROWSER") == "skip":
        print("No browser, and CLOZE_BROWSER=skip: the tests of the page will be skipped.")
        return
    print("The tests of the page need a browser; installing one. CLOZE_BROWSER=skip goes without.", flush=True)
    for command in ways():
        print(f"  {' '.join(command)}", flush=True)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=quiet())
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"  did not work: {error}")
            continue
        if done.returncode:
            print("  did not work: " + (done.stderr.strip().splitlines() or ["no reason given"])[-1])
        elif there():
            return
    print("No browser could be installed: the tests of the page will be skipped. CHROMIUM may name one.")


def there() -> bool:
    with sync_playwright() as playwright:
        return find_browser(playwright) is not None


def ways() -> list[list[str]]:
    apt = shutil.which("apt-get") if os.geteuid() == 0 else None
    install = [apt, "install", "-y", "--no-install-recommends"] if apt else []
    names = ("chromium-headless-shell", "chromium")  # older releases have the second one only
    debian = [[apt, "update", "-q"], *([*install, name] for name in names)] if apt else []
    return [*debian, [sys.executable, "-m", "playwright", "install", "chromium"]]


def quiet() -> dict[str, str]:
    return os.environ | {"DEBIAN_FRONTEND": "noninteractive"}


if __name__ == "__main__":
    main()
