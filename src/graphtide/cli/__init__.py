"""The command line: words in, files out; no mathematics."""
