"""A client of real servers that waits as long as a busy machine needs; httpx gives up after 5 seconds."""

import httpx

from tests.fakes.cloze import PATIENCE

http = httpx.Client(timeout=PATIENCE)
