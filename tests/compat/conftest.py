from tests.api.conftest import client, fakes, files, jobs, make_app, make_client, redis, redis_server, store  # noqa: F401
