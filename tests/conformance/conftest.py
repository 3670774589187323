from tests.fakes.pools import _pools, runs_share_processes  # noqa: F401
