package main

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"daybook/adapters/apiclient"
	"daybook/app"
	"daybook/core/access"
	"daybook/core/fault"
)

// Exit codes, for scripts. They are part of the interface; newExitCodes documents them.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitRefused      = 4
	exitUnauthorised = 5
	exitUnavailable  = 6
	exitIntegrity    = 7
	exitConfig       = 8
)

func newExitCodes() *cobra.Command {
	return &cobra.Command{
		Use: "exit-codes", Short: "What the exit codes mean",
		Long: `Every command ends with one of these exit codes:

  0  it is done
  1  it failed, for a reason that has no code of its own
  2  the command line, or a value given on it, is wrong
  3  what was asked for does not exist
  4  the rules said no, or something else is there already; for import: some rows were rejected
  5  the server does not know who is asking, or does not allow it
  6  the server cannot be reached, is busy or does not answer in time: the same again, later, may work
  7  stored data is damaged
  8  the configuration is wrong`,
	}
}

// usageError is an error about the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// rejectedError is the end of an import that posted what it could.
type rejectedError struct{ error }

// exitCode is the exit code for an error.
func exitCode(err error) int {
	var (
		usage       usageError
		rejected    rejectedError
		unreachable *apiclient.Unreachable
		problem     *apiclient.Problem
		config      *app.ConfigError
		plain       *fault.Fault
	)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &rejected):
		return exitRefused
	case isDamage(err):
		return exitIntegrity
	case errors.As(err, &unreachable):
		return exitUnavailable
	case errors.As(err, &problem):
		return problemCode(problem)
	case errors.As(err, &config):
		return exitConfig
	case errors.Is(err, access.ErrKeyRefused):
		return exitUsage
	case errors.Is(err, access.ErrNoKey):
		return exitNotFound
	case errors.As(err, &plain) && plain.Kind == fault.Unavailable:
		return exitUnavailable
	case errors.As(err, &plain) && (plain.Kind == fault.Conflict || plain.Kind == fault.Rejected):
		return exitRefused
	}
	return exitFailure
}

func problemCode(p *apiclient.Problem) int {
	switch p.Status {
	case http.StatusBadRequest:
		return exitUsage
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity:
		return exitRefused
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitUnauthorised
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitUnavailable
	}
	return exitFailure
}
