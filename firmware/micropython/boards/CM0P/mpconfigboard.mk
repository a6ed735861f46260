# Cortex-M0+ code on qemu's mps2-an385 (a Cortex-M3 runs every ARMv6-M instruction): the instruction
# stream of a Raspberry Pi Pico with 4 MB of RAM for the heap, and armv6m viper.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an385

CFLAGS += -mthumb -mcpu=cortex-m0plus -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_MPS2
CFLAGS += -DMICROPY_EMIT_THUMB_ARMV7M=0
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M0+"'

LDSCRIPT = mcu/arm/mps2.ld

SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb1.o

MPY_CROSS_FLAGS += -march=armv6m
