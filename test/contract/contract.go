// Package contract holds one suite per port: every sentence of the port's comments is a case, and every adapter passes the
// same suite from a test of a few lines. Nothing of an adapter may be known here; only tests import this package.
package contract
