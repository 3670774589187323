from tests.api.conftest import client, fakes, files, jobs, make_app, make_client, redis, redis_server, store  # noqa: F401
from tests.fakes.pools import _pools, servers_share_processes  # noqa: F401
