"""Rendezvous hashing (Thaler and Ravishankar 1998, https://doi.org/10.1109/90.663936).

Whoever knows the list of nodes computes the same nodes for a key. When a node leaves, only its keys move.
"""

from collections.abc import Sequence
from hashlib import blake2b


def choose_nodes(key: str, nodes: Sequence[str], count: int = 1) -> list[str]:
    """Returns the `count` nodes of a key, the first choice first. The order of `nodes` does not matter."""
    return sorted(set(nodes), key=lambda node: (_weigh(key, node), node), reverse=True)[:count]


def _weigh(key: str, node: str) -> bytes:
    return blake2b(key.encode(), key=blake2b(node.encode(), digest_size=32).digest(), digest_size=8).digest()
