"""Exchanges with a real llama.cpp server, recorded once and replayed in every test run; see README.md."""
