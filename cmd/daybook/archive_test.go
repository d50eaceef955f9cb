package main

import "testing"

func TestAnArchivalIsRefusedWithWords(t *testing.T) {
	c := newCLI(t)
	c.want(exitUsage, "archive", "--before is missing")
	c.want(exitUsage, "archive --before yesterday", "RFC 3339")
	c.want(exitRefused, "archive --before 2025-01-01", "archive.url")
	c.want(exitUnavailable, "archive --before 2025-01-01 --server http://127.0.0.1:1")
}
