// A bcoin full node in regtest that dials nobody and looks nothing up: node.mjs PEER_PORT RPC_PORT API_KEY
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const bdns = require("bdns");
const refuse = async () => {
  throw new Error("this node looks nothing up");
};
bdns.getIPv4 = refuse;
bdns.getIPv6 = refuse;
const { FullNode } = require("bcoin");
const [port, httpPort, apiKey] = process.argv.slice(2);
const node = new FullNode({
  network: "regtest",
  memory: true,
  listen: true,
  host: "127.0.0.1",
  port: Number(port),
  httpHost: "127.0.0.1",
  httpPort: Number(httpPort),
  apiKey,
  workers: false,
  seeds: [],
  nodes: [],
  logLevel: "none",
});
await node.ensure();
await node.open();
node.pool.fillOutbound = node.pool.fillPeers = () => {};
await node.connect();
node.startSync();
