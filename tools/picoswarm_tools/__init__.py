"""The `picoswarm` command: what runs on the host to build, measure, simulate, flash and watch nodes."""
