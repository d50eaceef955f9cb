package engine

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"daybook/core/account"
	"daybook/core/fault"
)

// A kept outcome may have been damaged: whatever it says, the answer is one, a refusal that can be shown, or an error, and is the same
// each time.
func FuzzKeptOutcome(f *testing.F) {
	var fp fingerprint
	f.Add(encodeOutcome(fp, &Result{Answer: Answer{Version: 3, Position: 17, Balance: -5, Events: []EventRef{{"MoneyWithdrawn", 3, 17}}}}))
	f.Add(encodeOutcome(fp, &Result{Err: account.ErrInsufficientFunds.With("balance", 5)}))
	f.Add(append(encodeOutcome(fp, &Result{Err: account.ErrClosed})[:17], `{"kind":8,"code":"no_such_kind"}`...))
	f.Fuzz(func(t *testing.T, body []byte) {
		var fp fingerprint
		if len(body) >= 17 {
			copy(fp[:], body[1:])
		}
		was := replay(body, fp)
		refused(body, fp)
		var refusal *fault.Fault
		switch {
		case was.Err == nil:
			if again := replay(encodeOutcome(fp, &was), fp); again.Err != nil || !reflect.DeepEqual(again.Answer, was.Answer) {
				t.Errorf("%+v comes back as %+v", was, again)
			}
		case errors.As(was.Err, &refusal) && was.Answer.Replayed:
			again := fault.Of(replay(encodeOutcome(fp, &was), fp).Err)
			if again.Kind.String() != refusal.Kind.String() || again.Error() != refusal.Error() || !slices.Equal(again.Details, refusal.Details) {
				t.Errorf("%+v comes back as %+v", refusal, again)
			}
		}
	})
}
