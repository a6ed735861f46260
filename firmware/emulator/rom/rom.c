// The functions that the SDK looks up in the boot ROM, by their documented interface (RP2040 datasheet, 2.8.3). Floating
// point is libgcc's; the flash is driven as a W25Q16 wants it, through the SSI and with its chip select in our hands.

#include <stddef.h>
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define SSI_SR REG(0x18000028)
#define SSI_DR0 REG(0x18000060)
#define SSI_READABLE 8
#define QSPI_SS_CTRL REG(0x4001800c)
#define SS_LOW (2 << 8)
#define SS_HIGH (3 << 8)

enum { SECTOR = 4096, PAGE = 256, WRITE_ENABLE = 6, READ_STATUS = 5, ERASE_SECTOR = 0x20, PROGRAM = 2, IS_BUSY = 1 };

void trap(void);

// Bits. r12 is fixed for this file: callers in the SDK keep something there.

static uint32_t count_bits(uint32_t x) {
    uint32_t n = 0;
    for (; x; x &= x - 1) {
        n++;
    }
    return n;
}

static uint32_t reverse_bits(uint32_t x) {
    uint32_t y = 0;
    for (int i = 0; i < 32; i++, x >>= 1) {
        y = y << 1 | (x & 1);
    }
    return y;
}

static uint32_t leading_zeros(uint32_t x) {
    uint32_t n = 0;
    for (; n < 32 && !(x & 0x80000000u); x <<= 1) {
        n++;
    }
    return n;
}

static uint32_t trailing_zeros(uint32_t x) {
    uint32_t n = 0;
    for (; n < 32 && !(x & 1); x >>= 1) {
        n++;
    }
    return n;
}

// Memory.

static void *fill(void *goal, uint32_t value, uint32_t n) {
    uint8_t *p = goal;
    uint8_t byte = value;
    for (; n && (uintptr_t)p & 3; n--) {
        *p++ = byte;
    }
    uint32_t word = byte * 0x01010101u;
    for (; n >= 4; n -= 4, p += 4) {
        *(uint32_t *)p = word;
    }
    while (n--) {
        *p++ = byte;
    }
    return goal;
}

static void *copy(void *goal, const void *source, uint32_t n) {
    uint8_t *p = goal;
    const uint8_t *q = source;
    if (!(((uintptr_t)p | (uintptr_t)q) & 3)) {
        for (; n >= 4; n -= 4, p += 4, q += 4) {
            *(uint32_t *)p = *(const uint32_t *)q;
        }
    }
    while (n--) {
        *p++ = *q++;
    }
    return goal;
}

// Flash.

static void nothing(void) {
}

static void select(void) {
    QSPI_SS_CTRL = SS_LOW;
}

static void deselect(void) {
    QSPI_SS_CTRL = SS_HIGH;
}

static uint8_t exchange(uint8_t byte) {
    SSI_DR0 = byte;
    while (!(SSI_SR & SSI_READABLE)) {
    }
    return SSI_DR0;
}

static void command(uint8_t code, uint32_t offset) {
    select();
    exchange(WRITE_ENABLE);
    deselect();
    select();
    exchange(code);
    exchange(offset >> 16);
    exchange(offset >> 8);
    exchange(offset);
}

static void finish(void) {
    deselect();
    uint8_t status;
    do {
        select();
        exchange(READ_STATUS);
        status = exchange(0);
        deselect();
    } while (status & IS_BUSY);
}

static void release_select(void) {
    QSPI_SS_CTRL = 0;
}

static void erase(uint32_t offset, size_t n, uint32_t block, uint8_t block_code) {
    while (n) {
        int is_block = block > SECTOR && !(offset & (block - 1)) && n >= block;
        uint32_t step = is_block ? block : SECTOR;
        command(is_block ? block_code : ERASE_SECTOR, offset);
        finish();
        offset += step;
        n = n > step ? n - step : 0;
    }
}

static void program(uint32_t offset, const uint8_t *bytes, size_t n) {
    for (; n; n -= PAGE, offset += PAGE) {
        command(PROGRAM, offset);
        for (int i = 0; i < PAGE; i++) {
            exchange(*bytes++);
        }
        finish();
    }
}

// Floating point, in the order of the tables of datasheet 2.8.3.2. What nobody calls stops at `trap`.

#define FUNCTION(name) extern void name(void);
FUNCTION(__aeabi_fadd) FUNCTION(__aeabi_fsub) FUNCTION(__aeabi_fmul) FUNCTION(__aeabi_fdiv)
FUNCTION(__aeabi_f2iz) FUNCTION(__aeabi_f2uiz) FUNCTION(__aeabi_i2f) FUNCTION(__aeabi_ui2f)
FUNCTION(__aeabi_l2f) FUNCTION(__aeabi_ul2f) FUNCTION(__aeabi_f2d)
FUNCTION(__aeabi_dadd) FUNCTION(__aeabi_dsub) FUNCTION(__aeabi_dmul) FUNCTION(__aeabi_ddiv)
FUNCTION(__aeabi_d2iz) FUNCTION(__aeabi_d2uiz) FUNCTION(__aeabi_i2d) FUNCTION(__aeabi_ui2d)
FUNCTION(__aeabi_l2d) FUNCTION(__aeabi_ul2d) FUNCTION(__aeabi_d2f)

typedef void (*Entry)(void);
enum { ENTRIES = 32 };

struct Table {
    uint8_t padding[2], entries, more; // the byte two before the table says how many entries it has
    Entry table[ENTRIES];
};

static const struct Table floats = {{0}, ENTRIES, 0, {
    __aeabi_fadd, __aeabi_fsub, __aeabi_fmul, __aeabi_fdiv, trap, trap, trap, // compare, compare to flags, square root
    __aeabi_f2iz, trap, __aeabi_f2uiz, trap, __aeabi_i2f, trap, __aeabi_ui2f, trap, // with those to and from fixed point
    trap, trap, trap, trap, trap, trap, // cos, sin, tan, sincos, exp, ln
    trap, trap, __aeabi_l2f, trap, __aeabi_ul2f, trap, trap, trap, trap, trap, __aeabi_f2d,
}};

static const struct Table doubles = {{0}, ENTRIES, 0, {
    __aeabi_dadd, __aeabi_dsub, __aeabi_dmul, __aeabi_ddiv, trap, trap, trap,
    __aeabi_d2iz, trap, __aeabi_d2uiz, trap, __aeabi_i2d, trap, __aeabi_ui2d, trap,
    trap, trap, trap, trap, trap, trap,
    trap, trap, __aeabi_l2d, trap, __aeabi_ul2d, trap, trap, trap, trap, trap, __aeabi_d2f,
}};

// The tables that are looked up: pairs of a code and a 16-bit address, which only the linker script can make smaller
// than a pointer. So they are written by the assembler, from these names.

#define NAME(code, symbol) ".hword " code ", " symbol "\n"
#define CODE(a, b) "'" a "' + ('" b "' << 8)"

__asm__(".section .tables, \"a\"\n.global functions, data\n"
    "functions:\n"
    NAME(CODE("P", "3"), "count_bits + 1") NAME(CODE("R", "3"), "reverse_bits + 1")
    NAME(CODE("L", "3"), "leading_zeros + 1") NAME(CODE("T", "3"), "trailing_zeros + 1")
    NAME(CODE("M", "S"), "fill + 1") NAME(CODE("S", "4"), "fill + 1")
    NAME(CODE("M", "C"), "copy + 1") NAME(CODE("C", "4"), "copy + 1")
    NAME(CODE("I", "F"), "nothing + 1") NAME(CODE("E", "X"), "nothing + 1")
    NAME(CODE("F", "C"), "release_select + 1") NAME(CODE("C", "X"), "nothing + 1")
    NAME(CODE("R", "E"), "erase + 1") NAME(CODE("R", "P"), "program + 1")
    NAME(CODE("U", "B"), "trap + 1") NAME(CODE("W", "V"), "trap + 1")
    ".hword 0\n"
    "data:\n"
    NAME(CODE("S", "F"), "floats + 4") NAME(CODE("S", "D"), "doubles + 4")
    ".hword 0\n.text\n");

void *lookup(const uint16_t *table, uint32_t code) {
    for (; *table; table += 2) {
        if (*table == code) {
            return (void *)(uintptr_t)table[1];
        }
    }
    return NULL;
}

// The tables above are all that uses these.
__attribute__((used)) static const Entry kept[] = {
    (Entry)count_bits, (Entry)reverse_bits, (Entry)leading_zeros, (Entry)trailing_zeros, (Entry)fill, (Entry)copy,
    nothing, release_select, (Entry)erase, (Entry)program, (Entry)&floats, (Entry)&doubles,
};
