"""Thumbnails of the items that a report names, made in child processes."""

import base64
from collections.abc import Callable
from functools import partial

from app.errors import AppError
from app.evaluation.results import Findings
from app.system.process_pool import ProcessPool


def add_thumbnails(findings: Findings, make: Callable[[bytes], bytes], processes: ProcessPool) -> None:
    """Adds a thumbnail for each mistake, as a data address. make: a file → WebP. A file without any is left out."""
    items = sorted({mistake.item for each in findings.mistakes for mistake in each.items})
    contents = ((item, findings.data.items[item].content) for item in items)
    futures = {item: processes.submit(partial(make, file)) for item, file in contents if isinstance(file, bytes)}
    for item, future in futures.items():
        try:
            found = base64.b64encode(future.result()).decode()
        except AppError:  # another decoder than that of the models
            continue
        findings.thumbnails[item] = f"data:image/webp;base64,{found}"
