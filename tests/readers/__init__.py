# SPDX-License-Identifier: Apache-2.0
"""Exports and the programs that read them (README.md)."""
FORMATS = ["pprof", "perfetto", "folded", "speedscope", "firefox", "sqlite", "ndjson", "otlp", "json"]
