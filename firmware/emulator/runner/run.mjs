// Runs one emulated Pico. `node run.mjs --rom=FILE --firmware=FILE.bin [--flash=FILE] [--turbo] [--seed=HEX] [--id=HEX]`
//
// --flash     its flash chip, 2 MB, made where it is missing; without it the chip is forgotten at the end
// --turbo     waiting costs no time: for programs that talk to nobody
// --seed      random numbers that repeat; without it they are the host's
// --id        its unique id, 8 bytes in hex
// --plain     rp2040js's own decoder
// --serial    the TCP port of its USB serial port; without it any that is free
// --clock     tells its time all along, as {"time": seconds, "idle": whether it passes as that of the wall does}
//
// Its USB serial port and both UARTs are TCP ports of 127.0.0.1. On standard output there is a line of JSON for each thing that
// happens: {"serial", "uart"} at first, then {"reset"}, {"cut"}, {"now"}. On standard input it takes lines:
//
//   now                   asks for {"now": seconds, "cycles", "instructions", "operations"}
//   cut N                 the power goes after N more instructions
//   tear N PART           the power goes in the N-th erase or program operation from now, after PART (0 to 1) of its time
//   off                   the power goes now
//   load FILE             while it is off: the flash is as in this file
//   on                    the power is back
//   quit
//
// The end of the input ends it too.

import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { RP2040 } from 'rp2040js';
import { hasten } from './fastcore.mjs';
import { FlashChip } from './flash.mjs';
import { Machine } from './machine.mjs';

const SLICE = 100_000; // instructions between two looks at the clock and at what came in
const MOST_LATE_NS = 50e6; // a host that is too slow makes the guest slow, and is not made up for
const CLOCK_NS = 2e6; // between two tellings of the time
const KEPT = 16_384; // bytes for a client that comes later
const { values: options } = parseArgs({
  options: {
    ...Object.fromEntries(['rom', 'firmware', 'flash', 'seed', 'id', 'serial'].map((name) => [name, { type: 'string' }])),
    turbo: { type: 'boolean' },
    plain: { type: 'boolean' },
    clock: { type: 'boolean' },
  },
});

/** A function that gives random bytes: the host's, or, with a seed, the same each time (xorshift). */
function randomBytes(seed) {
  if (seed === undefined) {
    const pool = new Uint8Array(4096);
    let at = pool.length;
    return () => {
      if (at === pool.length) {
        randomFillSync(pool);
        at = 0;
      }
      return pool[at++];
    };
  }
  let state = parseInt(seed, 16) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 24) & 0xff;
  };
}

function tell(facts) {
  process.stdout.write(`${JSON.stringify(facts)}\n`);
}

/** A TCP port of which the newest client is the one that is heard. */
class Port {
  constructor(onBytes) {
    this.kept = [];
    this.size = 0;
    this.client = null;
    this.waiting = [];
    this.server = createServer((client) => {
      this.client?.destroy();
      this.client = client;
      client.setNoDelay(true);
      client.on('data', (bytes) => {
        onBytes(bytes);
        wake();
      });
      client.on('error', () => {});
      client.on('close', () => {
        if (this.client === client) this.client = null;
      });
      this.flush();
    });
  }

  async open(port = 0) {
    await new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', resolve);
    });
    return this.server.address().port;
  }

  send(bytes) {
    this.kept.push(Buffer.from(bytes));
    this.size += bytes.length;
    while (this.size > KEPT && this.kept.length > 1) this.size -= this.kept.shift().length;
  }

  flush() {
    if (!this.client || !this.size) return;
    this.client.write(Buffer.concat(this.kept));
    this.kept = [];
    this.size = 0;
  }
}

const random = randomBytes(options.seed);
const id = options.id ? Buffer.from(options.id, 'hex') : Uint8Array.from({ length: 8 }, random);
const chip = new FlashChip(options.flash, id, random);
const romBytes = Buffer.alloc(16384);
readFileSync(options.rom).copy(romBytes);
const rom = new Uint32Array(romBytes.buffer, romBytes.byteOffset, 4096);
chip.load(0, readFileSync(options.firmware));
if (!options.plain) {
  hasten(new RP2040().core.constructor, { MAX_HARDWARE_IRQ: 25, APB_START_ADDRESS: 0x40000000, SIO_START_ADDRESS: 0xd0000000 });
}

const serial = new Port((bytes) => machine.serial.send(bytes));
const uarts = [0, 1].map((i) => new Port((bytes) => machine.uarts[i].feed(bytes)));
const parts = {
  rom,
  chip,
  random,
  onReset: (reason) => {
    machine.isStopped = true;
    resetReason = reason;
  },
  onSerial: (bytes) => serial.send(bytes),
  onUart: (i, byte) => uarts[i].send([byte]),
};
let resetReason = 0;
let machine = new Machine(parts);
let origin = null; // wall nanoseconds at which virtual time was 0
let elapsed = 0; // virtual nanoseconds of the boots before
let cyclesBefore = 0;
let instructions = 0;
let cutAt = Infinity; // of `instructions`
let tear = null; // {number, part}
let timer = null;
let isComing = false; // a turn
let isOver = false;
let isOff = false;
let told = { at: -Infinity, isIdle: null };

/** For whoever lives by this clock. */
function tellTime(isIdle) {
  const at = elapsed + machine.rp2040.clock.nanos;
  if (!options.clock || (isIdle === told.isIdle && at - told.at < CLOCK_NS)) return;
  told = { at, isIdle };
  tell({ time: at / 1e9, idle: isIdle });
}

chip.onBegin = (busy) => {
  if (!tear || busy.number !== tear.number) return;
  tear.at = busy.from + (busy.until - busy.from) * tear.part;
  machine.until = Math.min(machine.until, tear.at);
};

const wallNanos = () => performance.now() * 1e6;

/** Have a turn soon. */
function wake() {
  if (timer) clearTimeout(timer);
  timer = null;
  if (!isComing) setImmediate(turn);
  isComing = true;
}

/** Have a turn in so many milliseconds, or when something comes in. */
function rest(milliseconds) {
  if (timer) clearTimeout(timer);
  timer = setTimeout(wake, milliseconds);
}

function end(code) {
  isOver = true;
  chip.close();
  process.stdout.write('', () => process.exit(code));
}

/** The power goes now. */
function cut() {
  const { clock } = machine.rp2040;
  const operation = chip.cut();
  cutAt = Infinity;
  tear = null;
  isOff = true;
  for (const port of [serial, ...uarts]) port.flush();
  tellTime(true);
  tell({ cut: (elapsed + clock.nanos) / 1e9, instructions, operation, operations: chip.operations });
}

/** The power is back: nothing is left but what the flash holds. */
function powerOn() {
  if (!isOff) return;
  elapsed += machine.rp2040.clock.nanos;
  cyclesBefore += machine.rp2040.core.cycles;
  machine = new Machine(parts);
  origin = null;
  isOff = false;
  wake();
}

function reboot() {
  const { clock, core } = machine.rp2040;
  elapsed += clock.nanos;
  cyclesBefore += core.cycles;
  if (chip.busy) chip.cut();
  tell({ reset: elapsed / 1e9, reason: resetReason });
  machine = new Machine(parts, machine);
  origin = null;
}

function turn() {
  isComing = false;
  if (isOver || isOff) return;
  const { clock, core } = machine.rp2040;
  const now = wallNanos();
  let until = Infinity;
  if (!options.turbo) {
    origin ??= now - clock.nanos;
    until = now - origin;
  }
  if (tear?.at !== undefined) until = Math.min(until, tear.at);
  instructions += machine.run(until, Math.min(SLICE, cutAt - instructions), options.turbo);
  tellTime(core.waiting);
  for (const port of [serial, ...uarts]) port.flush();
  if (!options.turbo && !core.waiting) origin = Math.max(origin, now - clock.nanos - MOST_LATE_NS);
  if (instructions >= cutAt || (tear?.at !== undefined && clock.nanos >= tear.at)) return cut();
  if (machine.isStopped) {
    reboot();
    return wake();
  }
  const next = clock.nextAlarm;
  if (core.waiting && !next) return rest(1000);
  if (!core.waiting || options.turbo) return wake();
  const late = (next.nanos - (wallNanos() - origin)) / 1e6;
  return late < 1 ? wake() : rest(Math.min(late, 1000));
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [word, ...rest] = line.trim().split(/\s+/);
    const { clock, core } = machine.rp2040;
    if (word === 'now') {
      const cycles = cyclesBefore + core.cycles;
      tell({ now: (elapsed + clock.nanos) / 1e9, cycles, instructions, operations: chip.operations });
    } else if (word === 'cut') {
      cutAt = instructions + Number(rest[0]);
      wake();
    } else if (word === 'tear') {
      tear = { number: chip.operations + Number(rest[0]), part: Number(rest[1]) };
    } else if (word === 'off') {
      if (!isOff) cut();
    } else if (word === 'load') {
      if (isOff) chip.load(0, readFileSync(rest[0]));
    } else if (word === 'on') {
      powerOn();
    } else if (word === 'quit') {
      end(0);
    }
  })
  .on('close', () => end(0));
process.on('SIGTERM', () => end(0));
process.on('SIGINT', () => {});

const serialPort = await serial.open(Number(options.serial ?? 0));
tell({ serial: serialPort, uart: [await uarts[0].open(), await uarts[1].open()], id: Buffer.from(id).toString('hex') });
wake();
