package app

import (
	"regexp"

	"github.com/Rhymond/go-money"
)

var unitCode = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,11}$`)

// isoDigits is how many digits an ISO 4217 currency has after the decimal point, or -1 for an unknown code.
func isoDigits(code string) int {
	if c := money.GetCurrency(code); c != nil && c.Code == code {
		return c.Fraction
	}
	return -1
}

// currencyCheck says what is wrong with a currency code: it must be of ISO 4217 or a unit of the configuration.
func currencyCheck(units []Unit) func(string) string {
	declared := map[string]bool{}
	for _, u := range units {
		declared[u.Code] = true
	}
	return func(code string) string {
		if declared[code] || isoDigits(code) >= 0 {
			return ""
		}
		return "must be a currency code of ISO 4217 in capitals, such as EUR, or a unit of the configuration"
	}
}
