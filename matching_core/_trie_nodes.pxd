# cython: language_level=3
"""The pool of trie nodes: it grows between the checks and the change of a command, never inside the change."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memset

from matching_core._order_pool cimport HEIGHT_MAX, Core, Node


cdef inline uint32_t take_node(Core* core, uint32_t parent, uint64_t key) noexcept nogil:
    """An empty trie node under `parent`; reserve_nodes has made sure that there is one."""
    cdef uint32_t index = core.node_free
    if index:
        core.node_free = core.nodes[index].parent
        core.node_free_count -= 1
    else:
        core.node_top += 1
        index = core.node_top
    core.nodes[index].bits = 0
    core.nodes[index].held = 0
    core.nodes[index].parent = parent
    core.nodes[index].key = key
    return index


cdef inline void release_node(Core* core, uint32_t index) noexcept nogil:
    core.nodes[index].parent = core.node_free
    core.node_free = index
    core.node_free_count += 1


cdef inline bint has_nodes(const Core* core) noexcept nogil:
    """Whether the next level finds its trie nodes."""
    return core.node_free_count + (core.node_capacity - 1 - core.node_top) >= HEIGHT_MAX


cdef inline bint reserve_nodes(Core* core) noexcept nogil:
    """Make sure the next level finds its trie nodes; False when the machine has no memory."""
    cdef uint32_t capacity
    cdef Node* grown
    if has_nodes(core):
        return True
    capacity = core.node_capacity * 2
    grown = <Node*>realloc(core.nodes, <size_t>capacity * sizeof(Node))
    if grown == NULL:
        return False
    memset(&grown[core.node_capacity], 0, <size_t>core.node_capacity * sizeof(Node))
    core.nodes = grown
    core.node_capacity = capacity
    return True
