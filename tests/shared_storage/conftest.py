from tests.fakes.redis import redis_server  # noqa: F401
