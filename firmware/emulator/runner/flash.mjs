// The flash chip of a Pico, a W25Q16, behind the SSI: it takes the commands that the boot ROM and the SDK send, is busy as
// long as a real one, and holds a file that is written at the end of each erase or program operation. So a guest that is
// killed keeps what the chip would keep; a power cut in the middle of an operation leaves a torn page or sector.

import { closeSync, existsSync, openSync, readSync, writeSync } from 'node:fs';

export const BYTES = 2 * 1024 * 1024;
const PAGE = 256, SECTOR = 4096;
const PROGRAM_NS = 0.7e6, ERASE_NS = { 0x20: 45e6, 0x52: 120e6, 0xd8: 150e6 }; // typical, by the chip's data sheet
const POLL_NS = 20e3; // that a question for the state of a busy chip costs: a guest that does nothing else is not run for nothing
const ERASED = { 0x20: SECTOR, 0x52: 32768, 0xd8: 65536 };

export class FlashChip {
  /** `path`: its file, made where it is missing. `id`: 8 bytes. `random`: a function of nothing that gives a byte. */
  constructor(path, id, random) {
    Object.assign(this, { id, random });
    this.bytes = new Uint8Array(16 * 1024 * 1024).fill(0xff);
    this.operations = 0; // begun since the start
    this.busy = null; // {kind, offset, length, data, from, until}
    this.onBegin = null; // called with an operation as it begins
    this.file = null;
    const isNew = !path || !existsSync(path);
    if (path) {
      this.file = openSync(path, isNew ? 'w+' : 'r+');
      if (isNew) writeSync(this.file, this.bytes, 0, BYTES, 0);
      else readSync(this.file, this.bytes, 0, BYTES, 0);
    }
  }

  /** Put bytes where they stand from now on, as a programmer does that holds the chip in reset. */
  load(offset, data) {
    if (Buffer.compare(this.bytes.subarray(offset, offset + data.length), data)) {
      this.bytes.set(data, offset);
      this.save(offset, data.length);
    }
  }

  save(offset, length) {
    if (this.file !== null) writeSync(this.file, this.bytes, offset, length, offset);
  }

  close() {
    if (this.file !== null) closeSync(this.file);
    this.file = null;
  }

  begin(kind, offset, length, data, clock, nanos) {
    this.operations++;
    this.busy = { kind, offset, length, data, number: this.operations, from: clock.nanos, until: clock.nanos + nanos };
    this.onBegin?.(this.busy);
  }

  /** What an operation leaves once it is over. */
  finish() {
    const { kind, offset, length, data } = this.busy;
    if (kind === 'erase') this.bytes.fill(0xff, offset, offset + length);
    else for (let i = 0; i < length; i++) this.bytes[offset + i] &= data[i];
    this.save(offset, length);
    this.busy = null;
  }

  /** The power goes. Returns the operation that it hit, or null. What was under way is half done, cell by cell. */
  cut() {
    const { busy } = this;
    if (!busy) return null;
    const { kind, offset, length, data } = busy;
    const keep = kind === 'erase' ? (old) => old | this.random() : (old, i) => old & (data[i] | this.random());
    for (let i = 0; i < length; i++) this.bytes[offset + i] = keep(this.bytes[offset + i], i);
    this.save(offset, length);
    this.busy = null;
    return { kind, offset, length };
  }
}

/** The chip's side of one boot: the SSI's registers, and the chip select. */
export class FlashPort {
  constructor(rp2040, chip) {
    Object.assign(this, { rp2040, chip, regs: new Map(), out: [], command: [], isForced: false, mayWrite: false });
  }

  select(isForced, isLow) {
    if (this.isForced && (!isForced || !isLow)) this.execute();
    this.isForced = isForced && isLow;
    this.command = [];
    this.out = [];
  }

  get isBusy() {
    const { busy } = this.chip;
    if (busy && this.rp2040.clock.nanos >= busy.until) this.chip.finish();
    return this.chip.busy !== null;
  }

  /** The status register, as the guest reads it. */
  get status() {
    if (!this.isBusy) return this.mayWrite ? 2 : 0;
    this.rp2040.clock.nanosCounter += POLL_NS;
    return 1;
  }

  /** One byte in, one byte out. */
  exchange(byte) {
    const { command } = this;
    if (!this.isForced && !this.out.length) command.length = 0; // the SSI selects the chip itself: a transfer at a time
    command.push(byte);
    const at = command.length - 1;
    let answer = 0;
    if (at && command[0] === 0x05) answer = this.status;
    else if (at && command[0] === 0x35) answer = 2; // quad mode is on
    else if (at && command[0] === 0x9f) answer = [0xef, 0x40, 0x15][at - 1] ?? 0;
    else if (command[0] === 0x4b && at > 4) answer = this.chip.id[at - 5] ?? 0;
    else if (command[0] === 0x03 && at > 3) answer = this.chip.bytes[(this.address + at - 4) % BYTES];
    this.out.push(answer);
  }

  get address() {
    return ((this.command[1] << 16) | (this.command[2] << 8) | this.command[3]) % BYTES;
  }

  /** The chip select went up: what was said is a command. */
  execute() {
    const { command, chip } = this;
    const code = command[0];
    if (this.isBusy) return;
    if (code === 0x06) this.mayWrite = true;
    else if (code === 0x04) this.mayWrite = false;
    else if (code in ERASED && command.length === 4 && this.mayWrite) {
      const length = ERASED[code];
      this.mayWrite = false;
      chip.begin('erase', this.address - (this.address % length), length, null, this.rp2040.clock, ERASE_NS[code]);
    } else if (code === 0x02 && command.length > 4 && this.mayWrite) {
      const start = this.address - (this.address % PAGE);
      const data = new Uint8Array(PAGE).fill(0xff);
      command.slice(4).forEach((byte, i) => { data[(this.address + i) % PAGE] = byte; });
      this.mayWrite = false;
      chip.begin('program', start, PAGE, data, this.rp2040.clock, PROGRAM_NS);
    }
  }

  readUint32(offset) {
    if (offset === 0x28) return 0x06 | (this.out.length ? 0x08 : 0); // SR: room to send, something to read
    if (offset === 0x60) return this.out.shift() ?? 0; // DR0
    if (offset === 0x58) return 0x51535049; // IDR
    return this.regs.get(offset) ?? 0;
  }

  writeUint32(offset, value) {
    if (offset === 0x60) this.exchange(value & 0xff);
    else if (offset === 0x08) this.out = [];
    this.regs.set(offset, value);
  }

  writeUint32Atomic(offset, value, kind) {
    const now = kind ? this.regs.get(offset) ?? 0 : 0;
    this.writeUint32(offset, kind === 1 ? now ^ value : kind === 2 ? now | value : kind === 3 ? now & ~value : value);
  }
}

/** The pads of the flash, of which only the chip select's override matters. */
export class FlashPads {
  constructor(port) {
    Object.assign(this, { port, regs: new Map() });
  }

  readUint32(offset) {
    return this.regs.get(offset) ?? 0;
  }

  writeUint32(offset, value) {
    this.regs.set(offset, value >>> 0);
    const override = (value >> 8) & 3;
    if (offset === 0x0c) this.port.select(override >= 2, override === 2);
  }

  writeUint32Atomic(offset, value, kind) {
    const now = kind ? this.readUint32(offset) : 0;
    this.writeUint32(offset, kind === 1 ? now ^ value : kind === 2 ? now | value : kind === 3 ? now & ~value : value);
  }
}
