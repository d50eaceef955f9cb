package handover

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatAnEndingProcessHoldsIsTakenOnceItHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := time.Now().Add(Patience * 3 / 4)
		got, err := Take(func() (string, error) {
			if time.Now().Before(ended) {
				return "", fmt.Errorf("listen: %w", syscall.EADDRINUSE)
			}
			return "taken", nil
		}, syscall.EADDRINUSE)
		if got != "taken" || err != nil || time.Since(ended) > often {
			t.Errorf("got %q (%v), %v after it had ended", got, err, time.Since(ended))
		}
	})
}

func TestWhatALivingProcessHoldsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := Take(func() (int, error) { return 0, syscall.EAGAIN }, syscall.EAGAIN)
		if waited := time.Since(began); !errors.Is(err, syscall.EAGAIN) || waited < Patience || waited > Patience+often {
			t.Errorf("given up after %v with %v", waited, err)
		}
	})
}

func TestAnyOtherErrorIsGivenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if _, err := Take(func() (int, error) { return 0, syscall.EACCES }, syscall.EAGAIN); !errors.Is(err, syscall.EACCES) || time.Since(began) > 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
