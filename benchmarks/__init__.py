"""Ours beside a peer, in one run; every script prints ratios, and JSON with --json."""
