package app

import (
	"daybook/core/account"
	"daybook/core/es"
)

// modules is the one list to extend when a new aggregate is added.
func modules(c Config) []es.Module {
	return []es.Module{
		account.Module(currencyCheck(c.Units)),
	}
}
