// A faster instruction decoder, made at start-up from the text of rp2040js's own: its chain of some eighty `else if`s becomes a
// `switch` over a table of all opcodes, and reads of SRAM and flash go straight to the arrays. Bodies and cycle counts are the
// library's. Where its text is not as expected (another version), nothing is replaced.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const SRAM = 0x20000000;
const FETCH = 'const opcode = this.readUint16(opcodePC);';
const FAST_FETCH = `const opcode = opcodePC >>> 24 === 0x10 ? this.flash16[(opcodePC & 0xffffff) >> 1]
  : opcodePC >= ${SRAM} && opcodePC - ${SRAM} < this.sramBytes ? this.sram16[(opcodePC - ${SRAM}) >> 1]
  : this.readUint16(opcodePC);`;

/** The parts of the decoder's text: what stands before the chain, its branches, what follows. Throws where it is not as known. */
function parts(text) {
  const lines = text.split('\n');
  const first = lines.findIndex((line) => /^ {4}executeInstruction\(\) \{/.test(line));
  const last = lines.findIndex((line, i) => i > first && line === '    }');
  const body = lines.slice(first + 1, last);
  const isBranch = (line) => /^ {8}(else )?if \(.*\bopcode\b.*\) \{$/.test(line) || line === '        else {';
  const starts = body.flatMap((line, i) => (isBranch(line) ? [i] : []));
  const branches = starts.map((start) => {
    const end = body.indexOf('        }', start);
    const condition = /if \((.*)\) \{$/.exec(body[start])?.[1] ?? 'true';
    return { condition, body: body.slice(start + 1, end).join('\n'), end };
  });
  const before = body.slice(0, starts[0]).join('\n');
  const after = body.slice(branches.at(-1).end + 1).join('\n');
  if (branches.length < 80 || branches.at(-1).condition !== 'true' || !before.includes(FETCH) || !after.includes('return')) {
    throw new Error('the text of the decoder is not the known one');
  }
  return { before: before.replace(FETCH, FAST_FETCH), branches, after };
}

/** For each opcode the branch that takes it; `wide`: it is for the second half to say which. */
function tableOf(branches, wide) {
  const narrow = branches.map(({ condition }) =>
    condition.includes('opcode2') ? null : new Function('opcode', `return ${condition};`));
  const table = new Uint8Array(65536);
  for (let opcode = 0; opcode < 65536; opcode++) {
    const isWide = opcode >> 12 === 0b1111 || opcode >> 11 === 0b11101;
    table[opcode] = isWide ? wide : narrow.findIndex((condition) => condition && condition(opcode));
  }
  return table;
}

/** Give `Core` the faster decoder. Returns whether that went well. */
export function hasten(Core, constants) {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('rp2040js'));
    const text = readFileSync(join(folder, '..', 'esm', 'cortex-m0-core.js'), 'utf8');
    const { before, branches, after } = parts(text);
    const prelude = text.slice(0, text.indexOf('export class')).replace(/^import .*$/gm, '').replace(/^export /gm, '');
    const wide = branches.length;
    const cases = branches
      .map(({ condition, body }, i) => (condition.includes('opcode2') ? '' : `case ${i}: {\n${body}\nbreak; }`));
    const chain = branches
      .filter(({ condition }) => condition.includes('opcode2') || condition === 'true')
      .map(({ condition, body }) => `if (${condition}) {\n${body}\n}`).join('\nelse ');
    const code = `${prelude}\nreturn function () {\n${before}
switch (table[opcode]) {\n${cases.join('\n')}\ncase ${wide}: {\n${chain}\nbreak; }\n}\n${after}\n};`;
    const names = Object.keys(constants);
    Core.prototype.executeInstruction =
      new Function('table', ...names, code)(tableOf(branches, wide), ...names.map((name) => constants[name]));
    shorten(Core);
    return true;
  } catch (trouble) {
    console.error(`emulator: the slower decoder is used (${trouble.message})`);
    return false;
  }
}

/** Reads and writes of SRAM, and reads of flash, without a detour. `core.attach()` comes first. */
function shorten(Core) {
  const slow = Object.fromEntries(['readUint32', 'readUint16', 'readUint8', 'writeUint32', 'writeUint16', 'writeUint8']
    .map((name) => [name, Core.prototype[name]]));
  Object.assign(Core.prototype, {
    readUint32(address) {
      const at = address - SRAM;
      if (at >= 0 && at < this.sramBytes && !(at & 3)) return this.sram32[at >> 2];
      if (address >>> 24 === 0x10 && !(address & 3)) return this.flash32[(address & 0xffffff) >> 2];
      return slow.readUint32.call(this, address);
    },
    readUint16(address) {
      const at = address - SRAM;
      if (at >= 0 && at < this.sramBytes && !(at & 1)) return this.sram16[at >> 1];
      return slow.readUint16.call(this, address);
    },
    readUint8(address) {
      const at = address - SRAM;
      return at >= 0 && at < this.sramBytes ? this.sram8[at] : slow.readUint8.call(this, address);
    },
    writeUint32(address, value) {
      const at = address - SRAM;
      if (at >= 0 && at < this.sramBytes && !(at & 3)) this.sram32[at >> 2] = value;
      else slow.writeUint32.call(this, address, value);
    },
    writeUint16(address, value) {
      const at = address - SRAM;
      if (at >= 0 && at < this.sramBytes && !(at & 1)) this.sram16[at >> 1] = value;
      else slow.writeUint16.call(this, address, value);
    },
    writeUint8(address, value) {
      const at = address - SRAM;
      if (at >= 0 && at < this.sramBytes) this.sram8[at] = value;
      else slow.writeUint8.call(this, address, value);
    },
    attach() {
      const { sram, flash, flash16 } = this.rp2040;
      this.sramBytes = sram.length;
      this.sram8 = sram;
      this.sram16 = new Uint16Array(sram.buffer);
      this.sram32 = new Uint32Array(sram.buffer);
      this.flash16 = flash16;
      this.flash32 = new Uint32Array(flash.buffer);
    },
  });
}
