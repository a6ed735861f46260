"""What a discovery engine counts: traffic, and every reason for which a datagram is dropped. `Discovery.stats` gives them.

The modules that count repeat the indices as private constants, which cost a board nothing; 1 to 6 are what
`datagram.Codec.open` returns."""

# One text, taken apart when somebody asks: names of their own would cost a board four times as much.
NAMES = """received drop_size drop_version drop_implausible drop_forged drop_repeated drop_own_id drop_bad_source
drop_unknown_sender drop_wrong_tag wrong_token drop_busy drop_unasked bad_record drop_untagged seen_elsewhere sent bytes_sent
bytes_received key_agreements misses clock_jumps events_lost"""
