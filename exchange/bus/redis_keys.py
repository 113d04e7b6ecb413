"""Names in Redis, how long they live, and how a connection is made. This folder alone speaks to Redis."""

from typing import Any, Final
from urllib.parse import urlsplit

from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

__all__ = ["KEPT_S", "STREAM_BLOBS", "connect", "feed_key", "feed_of", "feed_pattern", "redis_trouble", "snapshot_key"]

STREAM_BLOBS: Final = 4_096
KEPT_S: Final = 600
"""Life of a Stream or snapshot behind its last change: a stopped exchange leaves nothing for long."""
_TIMEOUT_S: Final = 1.0
_ANSWER_S: Final = 2.0


def feed_key(name: str, feed: str) -> str:
    """Pub/sub channel and Stream of `feed` (`UND.channel`); the braces keep an underlying on one shard."""
    underlying, channel = feed.split(".")
    return f"{{{underlying}}}:md:{name}:{channel}"


def feed_of(key: str) -> str:
    """Inverse of `feed_key`."""
    underlying, rest = key[1:].split("}", 1)
    return f"{underlying}.{rest.rpartition(':')[2]}"


def feed_pattern(name: str) -> str:
    """What a reader of all feeds subscribes to."""
    return f"{{*}}:md:{name}:*"


def snapshot_key(name: str, feed: str) -> str:
    """Where the newest snapshot of a feed's state lies."""
    return f"{feed_key(name, feed)}:snapshot"


def connect(url: str) -> Any:
    """A client whose calls fail after a second; who fails decides what to do, nothing is tried again in secret."""
    return Redis.from_url(
        url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )


def redis_trouble(url: str) -> str:
    """Why `url` can't be used, "" when a Redis answers there. The text has no password."""
    shown = urlsplit(url)
    place = shown.hostname or shown.path or url
    place = f"{shown.scheme}://{place}{f':{shown.port}' if shown.port else ''}"
    try:
        with BlockingRedis.from_url(url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S) as client:
            client.ping()
    except ValueError:
        return f"{place} is no Redis URL: give redis://HOST:PORT/0 or unix:///PATH"
    except (RedisError, OSError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        return f"Redis at {place} does not answer ({reason}): start `redis-server` there, or leave --redis away"
    return ""
