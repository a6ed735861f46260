// Head of the stub boot ROM: what the RP2040 datasheet (2.8) says must stand at fixed addresses, and the way to the
// firmware. No part of the chip's own mask ROM is in here.

    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .section .head, "a"
    .word 0x20041f00            // first stack
    .word reset + 1
    .word trap + 1              // NMI
    .word trap + 1              // hard fault
    .byte 'M', 'u', 1, 2        // magic, and the version of the table of functions
    .hword functions
    .hword data
    .hword lookup + 1

// Copy the second stage (the first 256 bytes of flash) to SRAM and run it; with LR 0 it goes on to the vector table behind it.
    .section .text
    .global reset, trap
    .thumb_func
reset:
    ldr r0, =0x10000000
    ldr r1, =0x20041f00
    movs r2, #0
1:  ldr r3, [r0, r2]
    str r3, [r1, r2]
    adds r2, #4
    cmp r2, #255
    bls 1b
    movs r0, #0
    mov lr, r0
    adds r1, #1
    bx r1

// What has no answer here stops where a debugger, or the runner, sees it.
    .thumb_func
trap:
    bkpt #0
    b trap
