"""What a node does most, as machine code: it opens a datagram, and answers the PING of a proven peer. datagram.py and
responder.py do the same in bytecode, which takes three times as long; the rules of such code stand in cipher_viper.py.
Nothing here allocates. The numbers are offsets and values of datagram.py and table.py, where they have names.
"""

from .wire import copy, find, is_repeat, same


@micropython.viper
def open_datagram(d, buf, n: int) -> int:
    """`Codec.open`"""
    text = ptr8(buf)  # noqa: F821
    why = 1
    if n >= 42 and n <= 512:
        key = d.membership.highest
        first = text[0]
        if first ^ int(key.epoch) ^ 0x10:
            key = d.membership.find(first ^ 0x10)
        why = 2
        if key:
            d.key = key
            end = n
            if n > 77:
                end = 77
            key.stream.xor(buf, 1, 0, buf, 13, end)
            d.buf = buf
            d.n = n
            first = text[13]
            if first ^ int(d.flags):
                d.read_type(first)
            end = n
            if first & 0x40:
                end -= 8
            d.end = end
            why = 3
            if end >= int(d.least):
                if n > 77:
                    key.stream.xor(buf, 1, 1, buf, 77, n)
                why = 4
                if key.mac.check(buf, 13, n, 1):
                    why = 6
                    if not same(buf, 18, d.own_id, 0, int(d.body) - 18):
                        why = 0
                        if is_repeat(buf, d.repeats, d.seen):
                            why = 5
    return why


@micropython.viper
def pong(to, node, d) -> int:
    """Answer the PING in hand if its sender shows its 8-byte id, a pair tag and our present token, and is an IPv4 entry at
    the source of it: the sealed PONG stands in to.peer[:50]. Returns -1: it did; 0: that is another case, and nothing has
    changed; or why the datagram is to be dropped, an index of counters.py."""
    buf = d.buf
    text = ptr8(buf)  # noqa: F821
    if text[13] ^ 0x51 or to.kind:
        return 0
    table = node.table
    pool = table.pool
    step = table.step
    found = find(pool, len(pool), step, buf, 18, 8)
    at = int(found)
    why = 0
    if at >= 0:
        record = ptr8(int(ptr8(pool)) + at + 56)  # noqa: F821
        ip = d.ip
        port = int(d.port)
        uptime = int(node.uptime)
        spent = record[9]
        if (spent >> 2 ^ uptime) & 63:
            spent = (uptime & 63) << 2
        budget = to.proven
        interval = int(budget.interval)
        full = int(budget.full)
        now = int(node.now)
        level = (now - int(budget.empty)) << 2 >> 2  # a difference of ticks, see Budget.take
        # An entry, of IPv4, at the port; two answers in this second, or no budget.
        wrong = (record[7] & 3 ^ 1) | (record[8] & 1) | (int(len(ip)) ^ 4) | ((record[0] << 8 | record[1]) ^ port)
        if not (wrong | spent & 2 | (level - interval) >> 31) and same(pool, at + int(step) - 4, ip, 0, 4):
            why = 9
            mac = d.mac
            key = d.key
            mine = d.pair
            if not same(mine, 0, pool, at + 32, 16):
                copy(mine, 0, pool, at + 32, 16)
                mac.rekey(mine, 0, 16)
            mac.prefix = key.label
            end = d.end
            if mac.check(buf, 13, end, end):
                why = 0
                # What the token is made of goes where the envelope tag was: port and id.
                text[3] = port >> 8
                text[4] = port
                copy(buf, 5, buf, 18, 8)
                secret = node.tokens.present
                secret.prefix = ip
                if secret.check(buf, 3, 13, 32):
                    if level > full:
                        level = full
                    budget.empty = (now - level + interval) & 0x3FFFFFFF
                    # Proven anew, as Discovery.prove and Responder._note have it.
                    record[2] = text[26]
                    record[3] = text[27]
                    record[4] = uptime >> 10
                    record[5] = uptime >> 2
                    if not record[6]:
                        record[6] = 27
                    record[7] = record[7] & 0xF3
                    record[8] = record[8] & 0xF1 | text[29] & 0x0E
                    record[9] = spent + 1
                    suspects = node.revalidation
                    if found in suspects.suspects:
                        suspects.acquit(found)
                    # The PONG: request id and token stand where they did.
                    out = to.peer
                    copy(out, 0, buf, 0, 40)
                    copy(out, 18, d.own_id, 0, 8)
                    copy(out, 26, ip, 0, 4)
                    text = ptr8(int(ptr8(out)) + 13)  # noqa: F821
                    text[0] = 0x42
                    text[17] = port >> 8
                    text[18] = port
                    port = int(d.tcp_port)
                    text[27] = port >> 8
                    text[28] = port
                    mac.sign(out, 13, 42, 42)
                    key.mac.sign(out, 13, 50, 1)
                    key.stream.xor(out, 1, 0, out, 13, 50)
                    to.ip = ip
                    to.port = d.port
                    to.kind = 6
                    why = -1
    return why
