// A UART of the RP2040 (PL011, datasheet 4.2) as far as MicroPython uses it: FIFOs that fill and empty at the baud rate in
// virtual time, and the interrupts for receive level, receive time-out and transmit level. What comes faster than the line
// waits outside, as behind RTS: nothing is ever overrun.

const DR = 0x00, FR = 0x18, IBRD = 0x24, FBRD = 0x28, LCR_H = 0x2c, CR = 0x30, IFLS = 0x34, IMSC = 0x38, RIS = 0x3c;
const MIS = 0x40, ICR = 0x44, DMACR = 0x48;
const RX_EMPTY = 0x10, TX_FULL = 0x20, RX_FULL = 0x40, TX_EMPTY = 0x80, BUSY = 0x08; // of FR
const RX = 0x10, TX = 0x20, RX_TIMEOUT = 0x40; // interrupts
const DEPTH = 32;
const SHARES = [1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8, 1, 1, 1]; // of the FIFO, as IFLS counts them
const TIMEOUT_BITS = 32;

export class Pl011 {
  /** `send(byte)` is called for each byte that has left the line. */
  constructor(rp2040, base, irq, send) {
    Object.assign(this, { rp2040, irq, send, name: `UART${irq}`, rawWriteValue: 0 });
    this.regs = { [IBRD]: 1, [FBRD]: 0, [LCR_H]: 0, [CR]: 0x300, [IFLS]: 0x12, [IMSC]: 0, [DMACR]: 0 };
    this.raw = 0;
    this.rx = [];
    this.tx = [];
    this.line = []; // bytes from outside, not yet received
    this.isReceiving = this.isSending = false;
    const { clock } = rp2040;
    this.rxAlarm = clock.createAlarm(() => this.received());
    this.txAlarm = clock.createAlarm(() => this.sent());
    this.idleAlarm = clock.createAlarm(() => {
      if (this.rx.length) this.raise(RX_TIMEOUT);
    });
  }

  get byteNanos() {
    const divisor = this.regs[IBRD] + this.regs[FBRD] / 64 || 1;
    return (10 * 16 * divisor * 1e9) / this.rp2040.clkPeri;
  }

  get depth() {
    return this.regs[LCR_H] & 0x10 ? DEPTH : 1;
  }

  level(shift) {
    return Math.max(1, Math.floor(this.depth * SHARES[(this.regs[IFLS] >> shift) & 7]));
  }

  /** Bytes that the other side sends. */
  feed(bytes) {
    for (const byte of bytes) this.line.push(byte);
    this.receive();
  }

  receive() {
    const isOn = (this.regs[CR] & 0x201) === 0x201;
    if (isOn && !this.isReceiving && this.line.length && this.rx.length < this.depth) {
      this.isReceiving = true;
      this.idleAlarm.cancel();
      this.rxAlarm.schedule(this.byteNanos);
    }
  }

  received() {
    this.isReceiving = false;
    this.rx.push(this.line.shift());
    if (this.rx.length >= this.level(3)) this.raise(RX);
    if (this.line.length && this.rx.length < this.depth) this.receive();
    else this.idleAlarm.schedule((this.byteNanos / 10) * TIMEOUT_BITS);
  }

  transmit() {
    const isOn = (this.regs[CR] & 0x101) === 0x101;
    if (isOn && !this.isSending && this.tx.length) {
      this.isSending = true;
      this.txAlarm.schedule(this.byteNanos);
    }
  }

  sent() {
    this.isSending = false;
    const byte = this.tx.shift();
    if (this.tx.length === this.level(0) || (this.tx.length === 0 && this.level(0) === 1)) this.raise(TX);
    this.transmit();
    this.send(byte);
  }

  raise(bits) {
    this.raw |= bits;
    this.update();
  }

  update() {
    this.rp2040.setInterrupt(this.irq, (this.raw & this.regs[IMSC]) !== 0);
  }

  clkPeriChanged() {}

  readUint32(offset) {
    switch (offset) {
      case DR: {
        const byte = this.rx.length ? this.rx.shift() : 0;
        if (this.rx.length < this.level(3)) this.raw &= ~RX;
        if (!this.rx.length) this.raw &= ~RX_TIMEOUT;
        this.update();
        this.receive();
        return byte;
      }
      case FR:
        return (this.rx.length ? 0 : RX_EMPTY) | (this.rx.length >= this.depth ? RX_FULL : 0)
          | (this.tx.length ? BUSY : TX_EMPTY) | (this.tx.length >= this.depth ? TX_FULL : 0);
      case RIS:
        return this.raw;
      case MIS:
        return this.raw & this.regs[IMSC];
      default:
        return this.regs[offset] ?? 0;
    }
  }

  writeUint32(offset, value) {
    if (offset === DR) {
      if (this.tx.length < this.depth) this.tx.push(value & 0xff);
      if (this.tx.length > this.level(0)) this.raw &= ~TX;
      this.transmit();
    } else if (offset === ICR) {
      this.raw &= ~value;
    } else {
      this.regs[offset] = value & 0xffff;
      this.receive();
      this.transmit();
    }
    this.update();
  }

  writeUint32Atomic(offset, value, kind) {
    const now = kind && offset !== ICR ? this.readUint32(offset) : 0;
    this.writeUint32(offset, offset === ICR || !kind ? value : kind === 1 ? now ^ value : kind === 2 ? now | value : now & ~value);
  }
}
