// A node of @ethereumjs/devp2p (discv4, RLPx, eth/68) with three blocks of its own on the main network's genesis:
// node.mjs PORT [KEY PORT of a node that is dialed]. It says what happens, one line of JSON each, and asks its peer for blocks.
import { randomBytes } from "node:crypto";
import { Common, Mainnet } from "@ethereumjs/common";
import { DPT, ETH, EthMessageCodes, RLPx } from "@ethereumjs/devp2p";
import { RLP } from "@ethereumjs/rlp";
import { keccak256 } from "ethereum-cryptography/keccak.js";

const [port, dialed, dialedPort] = process.argv.slice(2);
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const say = (what, more = {}) => console.log(JSON.stringify({ what, ...more }));
const common = new Common({ chain: Mainnet });
const GENESIS = Buffer.from("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3", "hex");

const number = (n) => Uint8Array.from(n ? [n] : []);
const zeros = (n) => new Uint8Array(n);
const headers = [];
for (let n = 0, parent = zeros(32); n < 3; n++) {
  const roots = [zeros(32), zeros(32), zeros(32)];
  const header = [parent, zeros(32), zeros(20), ...roots, zeros(256), number(0), number(n), number(1), number(0)];
  header.push(number(n + 1), number(0), zeros(32), zeros(8), number(7));
  headers.push(header);
  parent = keccak256(RLP.encode(header));
}
const head = keccak256(RLP.encode(headers.at(-1)));

const key = randomBytes(32);
const endpoint = { address: "127.0.0.1", udpPort: Number(port), tcpPort: Number(port) };
const dpt = new DPT(key, { endpoint, shouldFindNeighbours: true, shouldGetDnsPeers: false });
const rlpx = new RLPx(key, { dpt, maxPeers: 4, capabilities: [ETH.eth68], common, listenPort: Number(port) });

rlpx.events.on("peer:added", (peer) => {
  const eth = peer.getProtocols()[0];
  eth.sendStatus({ td: number(1), bestHash: head, genesisHash: GENESIS, latestBlock: number(0) });
  eth.events.once("status", () => {
    say("status", { client: peer.getHelloMessage().clientId });
    eth.sendMessage(EthMessageCodes.GET_BLOCK_HEADERS, [number(7), [number(2), number(1), number(0), number(0)]]);
  });
  eth.events.on("message", (code, payload) => {
    if (code === EthMessageCodes.GET_BLOCK_HEADERS) {
      const [start, most] = payload[1];
      const first = start.length === 32 ? headers.length - 1 : Number("0x" + (hex(start) || "0"));
      const found = headers.slice(first, first + Number("0x" + (hex(most) || "0")));
      eth.sendMessage(EthMessageCodes.BLOCK_HEADERS, [payload[0], found]);
    } else if (code === EthMessageCodes.BLOCK_HEADERS) {
      say("headers", { count: payload[1].length });
    } else if (code === EthMessageCodes.TX) {
      say("transactions", { hashes: payload.map((each) => hex(keccak256(each instanceof Uint8Array ? each : RLP.encode(each)))) });
    }
  });
});
rlpx.events.on("peer:removed", (peer, reason, we) => say("removed", { reason: Number(reason), we }));
rlpx.events.on("peer:error", (peer, error) => say("error", { error: String(error) }));
rlpx.events.on("error", (error) => say("error", { error: String(error) }));
dpt.events.on("error", () => {}); // a node that does not answer any more
dpt.events.on("peer:added", (peer) => say("found", { port: peer.udpPort }));
rlpx.listen(Number(port), "127.0.0.1");
dpt.bind(Number(port), "127.0.0.1");
say("ready", { id: hex(rlpx.id), head: hex(head) });
if (dialed) {
  const peer = { id: Buffer.from(dialed, "hex"), address: "127.0.0.1", udpPort: Number(dialedPort), tcpPort: Number(dialedPort) };
  dpt.bootstrap(peer).catch((error) => say("error", { error: String(error) }));
}
process.stdin.on("end", () => process.exit()).resume();
