import numpy as np

from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache, EmbeddingKey
from MedSAMSegmentLib.models.protocol import Embedding


def embedding(byte_count: int) -> Embedding:
    return Embedding(np.zeros(byte_count, dtype=np.uint8), (1, 1))


def key(name: str) -> EmbeddingKey:
    return EmbeddingKey(name, "model")


def test_what_was_put_comes_back_and_nothing_else_does():
    cache = EmbeddingCache(100)
    kept = embedding(10)
    cache.put(key("a"), kept)
    assert cache.get(key("a")) is kept
    assert cache.get(key("b")) is None
    assert cache.get(EmbeddingKey("a", "another model")) is None


def test_the_least_recently_used_goes_first():
    cache = EmbeddingCache(30)
    for name in "abc":
        cache.put(key(name), embedding(10))
    cache.get(key("a"))
    cache.put(key("d"), embedding(10))
    assert key("b") not in cache
    assert all(key(name) in cache for name in "acd")


def test_the_bytes_never_exceed_the_capacity():
    cache = EmbeddingCache(64)
    for n, size in enumerate([10, 30, 5, 64, 1, 63, 20, 20, 20, 20]):
        cache.put(key(str(n)), embedding(size))
        assert cache.byte_count <= 64


def test_an_embedding_larger_than_the_cache_is_not_kept_and_drops_nothing():
    cache = EmbeddingCache(20)
    cache.put(key("a"), embedding(20))
    cache.put(key("b"), embedding(21))
    assert key("a") in cache
    assert key("b") not in cache


def test_putting_a_key_again_counts_its_bytes_once():
    cache = EmbeddingCache(100)
    cache.put(key("a"), embedding(40))
    cache.put(key("a"), embedding(60))
    assert cache.byte_count == 60
    assert len(cache) == 1


def test_clearing_forgets_everything():
    cache = EmbeddingCache(100)
    cache.put(key("a"), embedding(40))
    cache.clear()
    assert len(cache) == 0
    assert cache.byte_count == 0
