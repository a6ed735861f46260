#define MICROPY_HW_BOARD_NAME "Pico (emulated)"
// Of 2 MB: 768 KB of code, 256 KB of ROMFS, 1 MB of LittleFS.
#define MICROPY_HW_FLASH_STORAGE_BYTES (1024 * 1024)
#define MICROPY_HW_ROMFS_BYTES (256 * 1024)

#define MICROPY_PY_NETWORK (1)
#define MICROPY_PY_NETWORK_PPP_LWIP (1)
// picoswarm has its own encryption; without TLS the image is 110 KB smaller.
#define MICROPY_PY_SSL (0)
#define MICROPY_PY_WEBSOCKET (0)
#define MICROPY_PY_WEBREPL (0)

// lwIP copies each packet for the serial line into this memory: with less of it a bulk write fails with ENOMEM. To name
// MEM_SIZE is to name the others too.
#define MEM_SIZE 16000
#define TCP_MSS 1024
#define TCP_WND (4 * TCP_MSS)
#define TCP_SND_BUF (4 * TCP_MSS)
#define MEMP_NUM_TCP_SEG 32
#define PBUF_POOL_SIZE 24

// On the emulator every board has an address of 127.0.0.0/8, where this machine's programs are too. lwIP would send nothing
// there unless it is told where to.
#define LWIP_HOOK_IP4_ROUTE(dest) netif_default
