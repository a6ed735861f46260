"""The plans of overlays.py: which methods and classes of the library a board loads only when they are wanted.

An overlay is the name of a module and words "Class: method method"; all modules are those of the sources, before they are
bundled. A class, or function, without a method goes as a whole; of one with the method `__init__` its constructor goes. A
star behind a method: it is kept by somebody, or is in a base too, so that a call of it stays in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Methods = Mapping[str, tuple[str, ...]]  # names by class
Overlay = tuple[str, Methods]
CALL = "*"
MADE = ("__init__",)  # in the place of methods: the constructor of a class, see constructors.py


def _overlay_of(home: str, text: str) -> Overlay:
    """Of words "Class: method method"."""
    lines = [line.partition(":") for line in re.sub(r"\s(\w+:)", r"\n\1", " ".join(text.split())).splitlines()]
    return home, {name.strip(): tuple(methods.split()) for name, _, methods in lines}


# What makes a node and its parts: it runs once.
_MAKES_PARTS = _overlay_of("discovery", "Requests: __init__ Agreements: __init__ Responder: __init__ Upkeep: __init__")
_MAKES_DISCOVERY = (
    _overlay_of("table", "Table: __init__ Codec: __init__ Revalidation: __init__ Tokens: __init__"),
    ("discovery", {**_MAKES_PARTS[1], "Discovery": MADE}),
)
_MAKES_SWARM = (
    _overlay_of(
        "swarm",
        """
        Swarm: __init__ ConnManager: __init__ Links: __init__ Services: __init__ Door: __init__ Reception: __init__
        """,
    ),
    _overlay_of("pubsub", "PubSub: __init__ Rpc: __init__"),
)

_HEARD = _overlay_of(  # whom one has heard of
    "pex",
    """
    AddressBook: add _new_bucket _digest place tried_place is_credible write _random connected good _age
        pick record share attempt bad _ip
    PeerExchange: _learn
    """,
)

# What is called a few times a minute at most while a node runs, by what it is called for: a lookup, a decision whom to
# dial, start and stop, what a user sets up. Nothing of the table that a datagram calls, nothing of messages and streams:
# those come as often as others like. Nothing of the set-up of a session, which takes long enough without a load. What
# ends a session, and all that is called for want of memory, is no part of it: where the heap is full nothing can be
# loaded.
PLAN = (
    _MAKES_PARTS,  # and no more: of all else programs may make objects
    _overlay_of(  # who is dialed
        "swarm",
        """
        Swarm: _call _dial
        ConnManager: add want cancel remove _find
        Links: _dial
        """,
    ),
    _overlay_of(  # what a user asks
        "swarm",
        """
        Services: subscribe _topics unsubscribe sessions add_stats last_fault log handle _rekey end_epoch
        """,
    ),
    _overlay_of(  # start and stop
        "swarm",
        """
        Links: open start stop restart _hang_up
        Services: close
        Swarm: make_manager close end_epoch find
        """,
    ),
    _HEARD,
    _overlay_of(
        "node",
        """
        Node: start close _expired _save _move
        Driver: open start stop
        """,
    ),
    # Apart: while a lookup waits, its coroutine keeps all of its overlay, and a program asks meanwhile.
    _overlay_of("node", "Node: lookup contact register peers stats"),
    _overlay_of("table", "Lookup:"),
    _overlay_of("discovery", "Discovery: contact nodes stats"),
    _overlay_of(
        "discovery",
        """
        Discovery: add_bootstrap add_seed set_address
        Upkeep: add_anchor _ask_anchor _learn _sparse _is_calm _refresh
        """,
    ),
)

# A node that only discovers, in the least heap. What it keeps is what a PING calls, the turns of its driver and its timers.
# All else that a datagram calls is loaded, in pieces so small that a few of them, one called by another, fit beside two
# lookups: each pays for it with the time of some loads.
DISCOVERY = (
    *(each for each in PLAN if each[0] == "node"),
    *_MAKES_DISCOVERY,
    _overlay_of("table", "Lookup: start results news widen"),
    _overlay_of("table", "Lookup: offer"),
    _overlay_of("table", "Lookup: next wants _may_tell beyond _see _gap _key covered"),
    _overlay_of("table", "Lookup: ended"),
    _overlay_of("table", "Table: keep admit _is_near _enter set_address is_proven longest_unasked"),
    _overlay_of("table", "Table: remove miss find_failed find_answered Revalidation: suspect _plan _look acquit"),
    _overlay_of("discovery", "Requests: begin identify _may_ask Agreements: _may_ask ask is_ready"),
    _overlay_of("discovery", "Requests: agreed write repeat"),
    _overlay_of("discovery", "Requests: match drop _forget end Agreements: forget Discovery: ended Upkeep: ended"),
    _overlay_of("discovery", "Discovery: _on_answer _take_token _on_untagged _on_pong _is_own_address"),
    _overlay_of("discovery", "Discovery: _on_neighbors _may_contact"),
    _overlay_of("discovery", "Discovery: _move _remove _missed Requests: _late Upkeep: lost _knows _again"),
    _overlay_of("discovery", "Responder: take_other _take_proven on_request _on_paired _note _begin _pong"),
    _overlay_of("discovery", "Responder: _on_unknown on_agreed Agreements: defer _pick _done"),
    _overlay_of("discovery", "Responder: write _write_neighbors"),
    _overlay_of("discovery", "Discovery: contact nodes stats"),
    _overlay_of("discovery", "Discovery: find look_up _begin Upkeep: add_hint on_beacon _ask_hint"),
    _overlay_of("discovery", "Discovery: add_bootstrap add_seed set_address Upkeep: add_anchor _ask_anchor"),
    _overlay_of("discovery", "Upkeep: lookup_ended _learn _sparse _is_calm _refresh random_ms"),
)

# A node with sessions, from .mpy files. What it keeps is what others decide the frequency of: PINGs, sealed records,
# messages, streams and requests, with their timers; and whatever ends a session. A set-up, a lookup or what a user asks
# loads the rest, and finds it still there the next time while the heap has room (mpy.LATEST).
UNUSED = _overlay_of("swarm", "poly1305: equal: run:")  # what only tests call
FULL = (
    _HEARD,
    UNUSED,
    *_MAKES_DISCOVERY,
    *_MAKES_SWARM,
    _overlay_of("discovery", "Site: __init__ Anchor: __init__"),
    _overlay_of("swarm", "_Plan: __init__ LogStats: __init__"),
    _overlay_of("discovery", "Request: __init__ Deferred: __init__"),
    _overlay_of("swarm", "Hello: __init__ Link: __init__"),
    _overlay_of("compat", "hkdf: group: put_record: _is_name:"),
    _overlay_of("swarm", "Handshake: Noise:"),
    _overlay_of("store", "Membership: add drop_lower"),
    _overlay_of("table", "Lookup:"),
    _overlay_of(  # a socket, and the first message
        "swarm",
        """
        Swarm: accepted connected _greet _let_in
        Door: knock is_held hold opened forgive
        Hello: encode
        Reception: judge
        ConnManager: may_accept may_enter crowd unanswered is_banned
        Links: _accept add
        """,
    ),
    _overlay_of(  # a session begins
        "swarm",
        """
        Swarm: _prove _admit _turn_away _open
        ConnManager: established _verdict _has_spare
        Keyring: find refusal
        Session: start
        Lanes: start _empty
        PubSub: init_peer* add_peer* _on_filters
        Hmac: digest
        """,
    ),
    _overlay_of("swarm", "Swarm: offend ConnManager: score failed _age"),  # who breaks a rule or is not there; each minute
    _overlay_of(  # who is dialed
        "swarm",
        """
        Swarm: _call _dial _pick* find
        ConnManager: _may_go _draw_one _refusal add want cancel remove _find
        Links: _dial
        """,
    ),
    _overlay_of(  # what a user asks
        "swarm",
        """
        Services: sessions subscribe _topics unsubscribe add_stats last_fault log handle _rekey end_epoch
            change_keys* _about* on_event*
        PubSub: set_filters
        Rpc: register
        LogStats: write
        Node: register peers stats contact lookup sessions
        """,
    ),
    _overlay_of(  # start and stop
        "swarm",
        """
        Links: open start stop restart _hang_up _write_rest
        Services: close _note
        Subscription: close
        Swarm: make_manager close end_epoch
        Node: start close _expired _save _move
        Driver: open start stop
        """,
    ),
    _overlay_of(  # its own question
        "discovery",
        """
        Requests: begin identify agreed _may_ask write repeat find has_room
        Agreements: _may_ask ask is_ready step wait_ms
        """,
    ),
    _overlay_of("discovery", "Codec: lay_out pair_with is_paired start seal pad Discovery: _write_beacon"),  # all but PONGs
    _overlay_of(  # the answer
        "discovery",
        """
        Requests: match drop _forget end
        Agreements: forget
        Discovery: _on_answer _take_token _on_untagged _on_pong _is_own_address _on_neighbors _may_contact ended
        Site: is_broadcast is_onlink
        Upkeep: ended
        Revalidation: acquit
        """,
    ),
    _overlay_of(  # who has proven an address
        "discovery",
        """
        Discovery: prove _move _remove _missed _tell event
        Table: keep admit _is_near _enter remove miss find_failed set_address find_answered is_proven longest_unasked
            credit is_at bucket_of touch age find ip is_entry
        Requests: _late
        Upkeep: lost _knows _again
        Revalidation: suspect _plan _look
        """,
    ),
    _overlay_of(  # questions of others, but for PINGs
        "discovery",
        """
        Responder: take_other _take_proven on_request _on_unknown on_agreed _on_paired _note _begin _pong write
            _write_neighbors
        Agreements: defer _pick _done
        Tokens: make is_valid _place rotate
        Table: closest
        """,
    ),
    _overlay_of(  # upkeep
        "discovery",
        """
        Discovery: add_bootstrap add_seed set_address nodes stats find contact look_up _begin
        Upkeep: add_anchor add_hint on_beacon lookup_ended _ask_anchor _ask_hint _learn _sparse _is_calm _refresh random_ms
        Table: live
        """,
    ),
)

# A leaf publishes what it measures, answers the questions of others, and sleeps: it loads all but PONGs, sealed records and
# messages that fit one. The key agreement is machine code, which an ESP32 has outside the heap and never frees: there it
# stays.
NATIVE = _overlay_of("swarm", "X25519: u_from_id: id_from_u: is_id_of:")
NEAREST = _overlay_of("table", "nearest:")
MACHINE_CODE = (NATIVE, NEAREST, UNUSED)
_OF_VIPER = ("Hmac",)  # classes that are no part of a bundle where there is no machine code
LEAF = (
    NATIVE,
    NEAREST,
    *(each for each in FULL if each is not _HEARD),
    _overlay_of("swarm", "Swarm: _work_on Reception: prepare"),  # each slice of a handshake
    _overlay_of("discovery", "Discovery: tick Requests: tick Revalidation: run Upkeep: tick"),
    _overlay_of("discovery", "Discovery: _step give_up Upkeep: step"),  # a step of a lookup
    _overlay_of(  # streams, and messages that fit no record
        "swarm",
        """
        Lanes: _open_row open readable read close reset _change _was_reset _new_row _reset _drop _forget _place _row _settle
            _has_room _next_told can_send
        Mux: _refuse _breach _next _fill_rest _part _take_other hurry ping flush
        Services: stream _add_stream open_stream forget touch _serve_stream
        """,
    ),
    _overlay_of(  # keepalive and credit
        "swarm",
        """
        Mux: _fill_control _signal
        """,
    ),
    _overlay_of(  # requests
        "swarm",
        """
        Services: session request call _serve_call _in_use*
        """,
    ),
    _overlay_of(  # their messages
        "pubsub",
        """
        Rpc: call give_up reply _send _leave find _end remove_peer* receive* tick*
        LogStats: remove_peer* receive* tick* _answer
        """,
    ),
)

# Frozen, an overlay is some functions to make, and nothing to read: what comes once a second is one, too, and what is
# published. Where a look at the sessions finds no memory for itself, the shortage ends one (Links._note), as it would have.
LEAF_FROZEN = (
    *LEAF,
    _overlay_of(  # a look at all sessions
        "swarm",
        """
        Swarm: _scan _tell_again _calm_ms _look_after _is_given_up
        Mux: tick is_quiet calm_ms _decay _patience
        Session: is_overdue
        """,
    ),
    _overlay_of("pubsub", "PubSub: compose publish _spread _offer"),
    _overlay_of("pubsub", "PubSub: _on_publish deliver _is_repeated _drop Subscription: offer"),
)


def on_board(plan: Iterable[Overlay], is_native_loaded: bool, has_native: bool) -> list[Overlay]:
    """A plan for a board: with the parts that are machine code, if that is loaded like all else there."""
    plan = [each for each in plan if is_native_loaded or each not in MACHINE_CODE]
    gone = () if has_native else _OF_VIPER
    return [(home, {name: own for name, own in moved.items() if name not in gone}) for home, moved in plan]
