from tests.fakes.redis import redis, redis_server  # noqa: F401
