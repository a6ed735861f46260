"""A real py-libp2p node for the tests: TCP, Noise and Yamux, driven by lines of JSON as the one in Go is
(../../go/libp2p/main.go says which). It runs in a Python environment of its own."""

import hashlib
import json
import os
import struct
import sys
import time

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.ping import handle_ping
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def all_of(stream):
    data = bytearray()
    while True:
        try:
            part = await stream.read(65536)
        except StreamEOF:
            part = b""
        if not part:
            return bytes(data)
        data += part


async def echo(stream):
    while True:
        try:
            part = await stream.read(65536)
        except StreamEOF:
            part = b""
        if not part:
            break
        await stream.write(part)
    await stream.close()


async def reset(stream):
    await stream.reset()


async def sink(stream):
    say(event="sink", bytes=len(await all_of(stream)), error="")
    await stream.close()


async def exactly(stream, n):
    data = b""
    while len(data) < n:
        part = await stream.read(n - len(data))
        if not part:
            raise EOFError
        data += part
    return data


async def obey(host, pubsub, nursery, o):
    peer = ID.from_base58(o["peer"]) if o.get("peer") else None
    do = o["do"]
    if do == "dial":
        info = info_from_p2p_addr(Multiaddr(o["addr"]))
        await host.connect(info)
        return {"peer": info.peer_id.to_base58()}
    if do == "hangup":
        await host.disconnect(peer)
        return {}
    if do == "identify":

        def known():
            try:
                return host.get_peerstore().get_protocols(peer)
            except Exception:
                return []

        with trio.move_on_after(3):
            while not known():
                await trio.sleep(0.05)
        return {"protocols": [str(p) for p in known()], "agent": "", "addrs": []}
    if do == "ping":
        stream = await host.new_stream(peer, [TProtocol("/ipfs/ping/1.0.0")])
        for _ in range(o["count"]):
            data = os.urandom(32)
            await stream.write(data)
            if await exactly(stream, 32) != data:
                raise ValueError("the ping came back changed")
        await stream.close()
        return {"good": o["count"]}
    if do == "echo":
        stream = await host.new_stream(peer, [TProtocol(o["proto"])])
        data = os.urandom(o["size"])

        async def write():
            for at in range(0, len(data), 65536):
                await stream.write(data[at : at + 65536])
            await stream.close_write() if hasattr(stream, "close_write") else await stream.close()

        nursery.start_soon(write)
        back = bytearray()
        while len(back) < len(data):
            part = await stream.read(65536)
            if not part:
                break
            back += part
        return {"sent": hashlib.sha256(data).hexdigest(), "got": hashlib.sha256(back).hexdigest(), "bytes": len(back)}
    if do == "reset":
        stream = await host.new_stream(peer, [TProtocol(o["proto"])])
        await stream.write(b"x")
        await stream.reset()
        return {}
    if do == "blast":  # messages of 64 bytes, one write each, to a /count/1.0.0
        stream = await host.new_stream(peer, [TProtocol("/count/1.0.0")])
        await stream.write(struct.pack(">I", o["count"]))
        message = bytes(64)
        began = time.perf_counter()
        for _ in range(o["count"]):
            await stream.write(message)
        await exactly(stream, 1)
        return {"seconds": time.perf_counter() - began}
    if do == "subscribe":
        subscription = await pubsub.subscribe(o["topic"])

        async def hear():
            async for message in subscription:
                author = ID(message.from_id).to_base58()
                say(event="message", topic=o["topic"], data=message.data.decode(), **{"from": author})

        nursery.start_soon(hear)
        return {}
    if do == "publish":
        await pubsub.publish(o["topic"], o["data"].encode())
        return {}
    if do == "mesh":
        return {"peers": [p.to_base58() for p in pubsub.peer_topics.get(o["topic"], ())]}
    raise ValueError(do)


async def main():
    keys = create_new_key_pair()
    noise = NoiseTransport(keys, noise_privkey=create_new_x25519_key_pair().private_key)
    host = new_host(key_pair=keys, sec_opt={NOISE: noise})
    host.set_stream_handler(TProtocol("/ipfs/ping/1.0.0"), handle_ping)
    for name, handler in (("/echo/1.0.0", echo), ("/reset/1.0.0", reset), ("/sink/1.0.0", sink)):
        host.set_stream_handler(TProtocol(name), handler)
    router = GossipSub(["/meshsub/1.1.0", "/meshsub/1.0.0"], 6, 4, 12, heartbeat_interval=1)
    pubsub = Pubsub(host, router)
    async with (
        host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]),
        trio.open_nursery() as nursery,
        background_trio_service(pubsub),
        background_trio_service(router),
    ):
        await pubsub.wait_until_ready()
        addrs = [str(a) for a in host.get_addrs()]
        own = host.get_id().to_base58()
        say(id=own, addrs=[a if "/p2p/" in a else f"{a}/p2p/{own}" for a in addrs])
        async for line in lines():
            o = json.loads(line)
            try:
                say(**await obey(host, pubsub, nursery, o), did=o["do"])
            except Exception as error:
                say(error=repr(error), did=o["do"])
        nursery.cancel_scope.cancel()


async def lines():
    stream, rest = trio.lowlevel.FdStream(os.dup(0)), b""
    while data := await stream.receive_some(65536):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line


trio.run(main)
