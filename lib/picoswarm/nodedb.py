"""The node database: what of the table outlives a restart (rows D29-D31). Pure; store.py keeps the payload on flash.

    0  1  count
    1  .. count records as in NEIGHBORS: flags 1 | id 32 | IP 4 or 16 | UDP port 2 | TCP port 2

Only nodes that answered often are saved: they are the ones that will be there. What is read is hearsay like any other: it
goes through `Discovery.add_seed`, which checks it, and is pinged before anything is believed of it.
"""

from .compat import const
from .errors import Malformed

_CREDIT = const(62)  # in a table record
_STABLE = const(30)  # credit after four answers, the first of which earns 27: any more is worth a place (row D30)


def encode_nodes(table, limit=16):
    """The payload for up to `limit` (at most 255) stable nodes of a table, those of most credit first."""
    from .datagram import put_record  # here, because a boot only decodes, and has no codec yet

    pool = table.pool
    stable = []
    for record in range(0, len(pool), table.step):
        if table.is_live(record) and pool[record + _CREDIT] > _STABLE:
            stable.append((-pool[record + _CREDIT], record))
    stable.sort()
    payload = bytearray(1 + 53 * min(limit, len(stable)))
    at = 1
    for _, record in stable[:limit]:
        at = put_record(payload, at, table, record)
        payload[0] += 1
    return bytes(payload[:at])


def decode_nodes(payload):
    """The nodes of a payload: [(id, ip, UDP port)]. Raises Malformed unless the records fill it to the byte."""
    if not payload:
        raise Malformed("nodes: empty")
    nodes = []
    at = 1
    for _ in range(payload[0]):
        if at >= len(payload):
            raise Malformed("nodes: length")
        end = at + (53 if payload[at] & 1 else 41)
        if end > len(payload):
            raise Malformed("nodes: length")
        port = payload[end - 4] << 8 | payload[end - 3]
        nodes.append((bytes(payload[at + 1 : at + 33]), bytes(payload[at + 33 : end - 4]), port))
        at = end
    if at != len(payload):
        raise Malformed("nodes: length")
    return nodes
