// A real js-libp2p node for the tests: TCP, Noise and Yamux, driven by lines of JSON as the one in Go is
// (../../go/libp2p/main.go says which).
import { createHash, randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { floodsub } from '@libp2p/floodsub'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const router = process.argv[3] === 'floodsub' ? floodsub() : gossipsub({ allowPublishToZeroTopicPeers: true })
const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping(), pubsub: router }
})

const say = line => process.stdout.write(JSON.stringify(line) + '\n')
const hash = data => createHash('sha256').update(data).digest('hex')
const plain = data => data instanceof Uint8Array ? data : data.subarray()

async function all (stream) {
  const parts = []
  for await (const part of stream) parts.push(plain(part))
  return Buffer.concat(parts)
}

async function write (stream, data) {
  if (!stream.send(data)) await stream.onDrain()
}

await node.handle('/echo/1.0.0', async stream => {
  for await (const part of stream) await write(stream, part)
  await stream.close()
})
await node.handle('/sink/1.0.0', async stream => {
  say({ event: 'sink', bytes: (await all(stream)).length, error: '' })
  await stream.close()
})
await node.handle('/reset/1.0.0', stream => stream.abort(new Error('reset')))
node.services.pubsub.addEventListener('message', ({ detail }) => {
  if (detail.type === 'signed') {
    const data = new TextDecoder().decode(detail.data)
    say({ event: 'message', topic: detail.topic, from: detail.from.toString(), data })
  }
})

const orders = {
  dial: async o => ({ peer: (await node.dial(multiaddr(o.addr))).remotePeer.toString() }),
  hangup: async o => { await node.hangUp(peerIdFromString(o.peer)); return {} },
  peers: async () => ({ peers: node.getPeers().map(String) }),
  identify: async o => {
    const peer = await node.peerStore.get(peerIdFromString(o.peer))
    return {
      protocols: peer.protocols,
      agent: new TextDecoder().decode(peer.metadata.get('AgentVersion')),
      addrs: peer.addresses.map(a => a.multiaddr.toString())
    }
  },
  ping: async o => {
    let good = 0
    for (; good < o.count; good++) await node.services.ping.ping(peerIdFromString(o.peer))
    return { good }
  },
  echo: async o => {
    const stream = await node.dialProtocol(peerIdFromString(o.peer), o.proto)
    const data = randomBytes(o.size)
    const back = all(stream)
    for (let at = 0; at < data.length; at += 65536) await write(stream, data.subarray(at, at + 65536))
    await stream.close()
    const got = await back
    return { sent: hash(data), got: hash(got), bytes: got.length }
  },
  reset: async o => {
    const stream = await node.dialProtocol(peerIdFromString(o.peer), o.proto)
    await write(stream, new Uint8Array([120]))
    stream.abort(new Error('reset'))
    return {}
  },
  subscribe: async o => { node.services.pubsub.subscribe(o.topic); return {} },
  publish: async o => { await node.services.pubsub.publish(o.topic, new TextEncoder().encode(o.data)); return {} },
  mesh: async o => ({ peers: node.services.pubsub.getSubscribers(o.topic).map(String) })
}

say({ id: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) })
for await (const line of createInterface({ input: process.stdin })) {
  const o = JSON.parse(line)
  try {
    say({ ...await orders[o.do](o), did: o.do })
  } catch (error) {
    say({ error: String(error?.message ?? error), did: o.do })
  }
}
process.exit(0)
