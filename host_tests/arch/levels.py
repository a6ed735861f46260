"""The levels of the device library, lowest first; inside a level a module may import those listed above it.

A new module is added here first: the import test fails for one that has no place.
"""

LEVELS = (
    # 0: the runtime, the errors, the numbers
    ("compat_unix", "compat_host", "compat", "sockets", "pace", "rooterror", "errors", "failures", "reasons", "profile"),
    # 1: bytes and cryptography
    (
        "wire_viper",
        "wire",
        "frames_viper",
        "frames",
        "address",
        "cipher_viper",
        "cipher_int",
        "field_viper",
        "curve_viper",
        "curve_int",
        "kernels_host",
        "crypto",
        "keymap",
        "aead_viper",
        "aead_int",
        "aead",
        "sha512_viper",
        "sha512_int",
        "sha512",
        "ed25519base_viper",
        "ed25519sign_viper",
        "ed25519verify_viper",
        "ed25519_int",
        "ed25519",
        "entropy",
        "protobuf",
        "peerkey",
        "peerid",
        "multiaddr",
        "multistream",
    ),
    # 2: who one is, and what goes over the wire
    (
        "identity",
        "identify",
        "nodekey",
        "membership",
        "commits",
        "treeproofs",
        "proofs",
        "changes",
        "slots",
        "appslots",
        "manifest",
        "datagram_viper",
        "datagram",
        "noise",
        "hello",
        "channel",
    ),
    # 3: engines without I/O
    (
        "counters",
        "budget",
        "tokens",
        "outside",
        "table",
        "revalidation",
        "lookup",
        "requests",
        "agreement",
        "responder",
        "upkeep",
        "nodedb",
        "discovery",
        "handshake",
        "sealed",
        "lanes",
        "mux",
        "session",
        "door",
        "connmgr",
        "addrbook",
        "bookfile",
        "pex",
        "pubsub",
        "signing",
        "topics",
        "rpc",
        "returning",
        "fetching",
        "serving",
        "logstats",
        "missed",
        "swarm",
        "p2pcipher",
        "yamux",
        "p2plink",
        "p2psetup",
        "headers",
        "transactions",
    ),
    # 4: all the I/O there is
    ("net", "tcp", "files", "files_host", "vault", "store", "appfiles"),
    # 5: the composition root and the services
    (
        "keys",
        "saves",
        "p2pkey",
        "p2pdial",
        "p2pstreams",
        "libp2p",
        "rekey",
        "relay",
        "seeking",
        "about",
        "waiting",
        "steering",
        "streams",
        "services",
        "composing",
        "asking",
        "gatewayinbox",
        "bitcoin",
        "gateway",
        "mailbox",
        "cometbft",
        "ethereum",
        "p2pgateway",
        "names",
        "boot",
        "node",
        "taking",
        "update",
        "__init__",
    ),
)

assert len({name for level in LEVELS for name in level}) == sum(map(len, LEVELS)), "a module stands in one place"

PURE_LEVELS = (1, 2, 3)

# What a pure module must not touch: time, randomness and bytes come in as arguments.
IMPURE_MODULES = {"asyncio", "machine", "network", "os", "random", "select", "socket", "time", "uasyncio", "usocket"}
IMPURE_CALLS = {"print", "open", "input"}

# The only modules that may import something beyond the standard modules of a stock firmware.
HOST_ONLY = {
    "compat_host": {"cryptography", "ipaddress"},  # asked for, to choose the kernels; addresses
    "kernels_host": {"cryptography", "functools", "hmac"},
}


def level_of(module: str) -> tuple[int, int]:
    """(level, place in the level) of a module of lib/picoswarm. Raises KeyError for one without a place."""
    for level, names in enumerate(LEVELS):
        if module in names:
            return level, names.index(module)
    raise KeyError(f"{module} has no level: add it to host_tests/arch/levels.py")
