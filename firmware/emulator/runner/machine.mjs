// One boot of an emulated Pico: rp2040js with the parts in which MicroPython finds it wanting replaced, see README.md.

import { RP2040 } from 'rp2040js';
import { FlashPads, FlashPort } from './flash.mjs';
import { Pl011 } from './pl011.mjs';
import { Serial } from './usb.mjs';

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
const SSI = 0x18000, QSPI = 0x40018, UART0 = 0x40034, UART1 = 0x40038, WATCHDOG = 0x40058, ROSC = 0x40060;
const MOST_JUMPS = 10_000; // from alarm to alarm, in one run
const SENSOR = 4, WARM = 876; // the chip's thermometer at the ADC, at 27 degrees: 0.706 V of 3.3 V in 12 bits
const UART0_IRQ = 20, UART1_IRQ = 21;

/** The ring oscillator: a source of random bits, running and stable. */
class Oscillator {
  constructor(random) {
    this.random = random;
  }

  readUint32(offset) {
    return offset === 0x1c ? this.random() & 1 : 0xffffffff;
  }

  writeUint32() {}

  writeUint32Atomic() {}
}

export class Machine {
  /** `parts`: {rom, chip, random, onReset(reason), onSerial(bytes), onUart(index, byte)}. `last`: the machine whose watchdog
   * made this boot, of which a few registers stay. */
  constructor(parts, last = null) {
    const { rom, chip, random } = parts;
    const rp2040 = new RP2040();
    this.rp2040 = rp2040;
    rp2040.logger = QUIET;
    rp2040.flash = chip.bytes;
    rp2040.flash16 = new Uint16Array(chip.bytes.buffer);
    rp2040.flashView = new DataView(chip.bytes.buffer);
    rp2040.bootrom.set(rom);
    const port = new FlashPort(rp2040, chip);
    this.uarts = [[UART0, UART0_IRQ], [UART1, UART1_IRQ]].map(([base, irq], i) => {
      const uart = new Pl011(rp2040, base, irq, (byte) => parts.onUart(i, byte));
      rp2040.peripherals[base] = uart;
      return uart;
    });
    rp2040.uart = this.uarts;
    Object.assign(rp2040.peripherals, { [SSI]: port, [QSPI]: new FlashPads(port), [ROSC]: new Oscillator(random) });
    rp2040.adc.channelValues[SENSOR] = WARM;
    this.serial = new Serial(rp2040.usbCtrl, parts.onSerial);
    this.guardCore1();
    this.watchdog = rp2040.peripherals[WATCHDOG];
    this.watchdog.onWatchdogTrigger = () => {
      this.watchdog.timer.enable = false; // else its alarm at 0 is due again at once, for ever
      parts.onReset(this.watchdog.reason);
    };
    if (last) {
      this.watchdog.scratchData.set(last.watchdog.scratchData);
      this.watchdog.reason = last.watchdog.reason;
      rp2040.clock.nanosCounter = 0;
    }
    rp2040.core.attach?.();
    rp2040.core.reset();
  }

  /** The mailbox of the second core, which is not there: it always answers 0, as after its reset. */
  guardCore1() {
    const { sio } = this.rp2040;
    const read = sio.readUint32.bind(sio);
    const write = sio.writeUint32.bind(sio);
    sio.readUint32 = (offset) => (offset === 0x50 ? 3 : offset === 0x58 ? 0 : read(offset));
    sio.writeUint32 = (offset, value) => {
      if (offset < 0x50 || offset > 0x58) write(offset, value);
    };
  }

  /** Run until `until` (of virtual nanoseconds), a number of instructions, a reset, or nothing left to wait for. With
   * `jump`, waiting costs no time of ours. Returns how many instructions ran. */
  run(until, instructions, jump) {
    const { core, clock } = this.rp2040;
    let left = instructions;
    let jumps = 0;
    let nanos = 1e9 / this.rp2040.clkSys;
    this.isStopped = false;
    this.until = until; // which may come nearer meanwhile
    while (left > 0 && !this.isStopped && clock.nanosCounter < this.until) {
      if (core.waiting) {
        const next = clock.nextAlarm;
        if (!next) {
          if (!jump) clock.nanosCounter = until;
          break;
        }
        if (next.nanos > until) {
          clock.nanosCounter = until;
          break;
        }
        if (++jumps > MOST_JUMPS) break; // alarms of which none wakes the guest: who runs it wants a turn too
        clock.tick(Math.max(0, next.nanos - clock.nanosCounter));
        nanos = 1e9 / this.rp2040.clkSys;
        continue;
      }
      const before = core.cycles;
      core.executeInstruction();
      left--;
      clock.nanosCounter += (core.cycles - before) * nanos;
      const next = clock.nextAlarm;
      if (next !== null && next.nanos <= clock.nanosCounter) {
        clock.tick(0);
        nanos = 1e9 / this.rp2040.clkSys;
      }
    }
    return instructions - left;
  }
}
