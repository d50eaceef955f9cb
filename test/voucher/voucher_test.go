package voucher_test

import (
	"testing"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/test/spec"
	"daybook/test/voucher"
)

func TestVoucher(t *testing.T) {
	issued := voucher.VoucherIssued{Worth: 500}
	redeemed := voucher.VoucherRedeemed{By: "Ada"}
	for sentence, c := range map[string]spec.Case{
		"can be issued": {
			When: spec.Command("issue", "v1", spec.Fields{"worth": 500}),
			Then: spec.Stream("v1", issued)},
		"is not issued twice": {
			Given: spec.Stream("v1", issued),
			When:  spec.Command("issue", "v1", spec.Fields{"worth": 500}),
			Fails: voucher.ErrIssued},
		"can be redeemed": {
			Given: spec.Stream("v1", issued),
			When:  spec.Command("redeem", "v1", spec.Fields{"by": "Ada"}),
			Then:  spec.Stream("v1", redeemed)},
		"is not redeemed twice": {
			Given: spec.Stream("v1", issued, redeemed),
			When:  spec.Command("redeem", "v1", spec.Fields{"by": "Bob"}),
			Fails: voucher.ErrRedeemed},
		"is not redeemed before it is issued": {
			Given: spec.Stream("v2", issued),
			When:  spec.Command("redeem", "v1", spec.Fields{"by": "Ada"}),
			Fails: voucher.ErrNotFound},
	} {
		t.Run(sentence, func(t *testing.T) { spec.Run(t, voucher.Module(), c) })
	}
	t.Run("is declared in full", func(t *testing.T) { spec.Declared(t, voucher.Module()) })
	t.Run("is stored as ever", func(t *testing.T) { spec.Golden(t, voucher.Module(), "testdata/events", issued, redeemed) })
}

func TestTwoModulesShareARegistry(t *testing.T) {
	r, err := es.NewRegistry(account.Module(func(string) string { return "" }), voucher.Module())
	if err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[es.StreamID]struct{ module, id string }{
		"acc-1":         {"accounts", "acc-1"},
		"voucher:acc-1": {"vouchers", "acc-1"},
	} {
		m := r.ModuleOf(stream)
		if m == nil || m.Name != want.module || m.ID(stream) != want.id || m.Stream(want.id) != stream {
			t.Errorf("stream %s belongs to %+v, want %s", stream, m, want.module)
		}
	}
	if m := r.ModuleOf("coupon:acc-1"); m != nil {
		t.Errorf("a stream of no module belongs to %s", m.Name)
	}
	if r.Module("vouchers") != r.ModuleByNoun("voucher") || r.Module("vouchers") == nil {
		t.Error("a module is found by its name and by its noun")
	}
	for _, name := range []string{"MoneyDeposited", "VoucherIssued"} {
		if r.EventType(name) == nil {
			t.Errorf("the registry does not know %s", name)
		}
	}
}
