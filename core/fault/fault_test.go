package fault_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"daybook/core/fault"
)

var errSpent = fault.New(fault.Rejected, "spent", "There is nothing left.")

func TestCopiesMatchTheirSentinelAndLeaveItAlone(t *testing.T) {
	before := *errSpent
	for name, changed := range map[string]*fault.Fault{
		"Because": errSpent.Because(errors.New("driver")),
		"Say":     errSpent.Say("There are %d left.", 3),
		"With":    errSpent.With("balance", 3),
		"At":      errSpent.At("/amount", "must be less"),
		"After":   errSpent.After(time.Second),
	} {
		wrapped := fmt.Errorf("on the way: %w", changed)
		if !errors.Is(wrapped, errSpent) || fault.KindOf(wrapped) != fault.Rejected || fault.Of(wrapped) != changed {
			t.Errorf("%s: %v is not told as spent", name, wrapped)
		}
	}
	if errSpent.Msg != before.Msg || errSpent.Details != nil || errSpent.Fields != nil || errSpent.RetryAfter != 0 || errSpent.Unwrap() != nil {
		t.Errorf("the sentinel was changed: %+v", errSpent)
	}
	if errors.Is(errSpent, fault.New(fault.Rejected, "lost", "It is lost.")) {
		t.Error("faults of different codes match")
	}
}

func TestFiguresAndFieldsOfTwoCopiesDoNotMix(t *testing.T) {
	base := errSpent.With("a", 1).At("/a", "x")
	left, right := base.With("b", 2).At("/b", "x"), base.With("c", 3).At("/c", "x")
	if !slices.Equal(left.Details, []fault.Detail{{Name: "a", Value: 1}, {Name: "b", Value: 2}}) || right.Details[1].Name != "c" {
		t.Errorf("got %v and %v", left.Details, right.Details)
	}
	if left.Fields[1].Pointer != "/b" || right.Fields[1].Pointer != "/c" || len(base.Fields) != 1 {
		t.Errorf("got %v and %v", left.Fields, right.Fields)
	}
}

func TestErrorWithoutFaultIsInternalAndKeepsItsCause(t *testing.T) {
	cause := errors.New("disk on fire")
	f := fault.Of(cause)
	if f.Kind != fault.Internal || f.Code != "internal" || !errors.Is(f, cause) {
		t.Errorf("got %+v", f)
	}
	if fault.KindOf(nil) != fault.Internal {
		t.Error("even no error is Internal to one who asks for its kind")
	}
}

func TestCauseReachesTheLogAndNotTheSentence(t *testing.T) {
	f := errSpent.Because(errors.New("SQLSTATE 40001"))
	if f.Error() != "spent: There is nothing left.: SQLSTATE 40001" || f.Msg != "There is nothing left." {
		t.Errorf("error %q, sentence %q", f.Error(), f.Msg)
	}
	if errSpent.Error() != "spent: There is nothing left." {
		t.Errorf("got %q", errSpent.Error())
	}
}

func TestEveryKindHasANameOfItsOwn(t *testing.T) {
	names := map[string]bool{}
	for k := fault.Internal; k <= fault.Unknown; k++ {
		names[k.String()] = true
	}
	if len(names) != int(fault.Unknown)+1 {
		t.Errorf("got %v", names)
	}
}
