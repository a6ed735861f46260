// The Improv client of ESP Web Tools, on standard input and output in the place of a serial port: client.mjs SSID PASSWORD
// It says on standard error what it found, one line of JSON a step: info, networks, what came of a wrong password and of the
// right one, and the state at the end.

import { register } from "node:module";
import { Readable, Writable } from "node:stream";

// The package is meant for bundlers: some of its imports leave the ending out.
const hook = `export async function resolve(name, context, next) {
  try { return await next(name, context); } catch (error) { return next(name + ".js", context); }
}`;
register("data:text/javascript," + encodeURIComponent(hook));
const { ImprovSerial } = await import("improv-wifi-serial-sdk/dist/serial.js");

const [ssid, password] = process.argv.slice(2);
const port = { readable: Readable.toWeb(process.stdin), writable: Writable.toWeb(process.stdout) };
const silent = { log() {}, error() {}, debug() {} };
const say = (step) => console.error(JSON.stringify(step));

const client = new ImprovSerial(port, silent);
const info = await client.initialize(20000);
say({ info, state: client.state });
say({ networks: await client.scan(20000) });
say({ name: await client.getDeviceName(20000) });
try {
  await client.provision(ssid, "not the password", 60000);
  say({ wrong: "accepted" });
} catch (error) {
  say({ wrong: String(error), state: client.state });
}
await client.provision(ssid, password, 60000);
say({ done: true, state: client.state });
process.exit(0);
