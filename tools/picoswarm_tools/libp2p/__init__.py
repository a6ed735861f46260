"""Real libp2p nodes beside ours: go-libp2p, js-libp2p and py-libp2p as processes (peers.py), and what works with each of
them (pairs.py; `python -m picoswarm_tools.libp2p` prints the table)."""
