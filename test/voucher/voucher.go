// Package voucher is a second module that lives in tests only: a voucher is issued once and redeemed once. It shows what
// adding a module takes: one folder like this one, and one line where a program lists its modules.
package voucher

import (
	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
)

// Refusals.
var (
	ErrIssued   = fault.New(fault.Conflict, "voucher_exists", "A voucher with this id exists already.")
	ErrNotFound = fault.New(fault.NotFound, "voucher_not_found", "There is no voucher with this id.")
	ErrRedeemed = fault.New(fault.Rejected, "voucher_redeemed", "The voucher was redeemed before.")
)

// Status of a voucher.
const (
	Open     = "open"
	Redeemed = "redeemed"
)

// Voucher is the state of one voucher. The zero Voucher does not exist yet.
type Voucher struct {
	Status   string
	Worth    int64 // minor units
	Redeemer string
}

// Events.
type (
	// VoucherIssued brings a voucher into being.
	VoucherIssued struct {
		Worth int64
		es.Note
	}
	// VoucherRedeemed ends it.
	VoucherRedeemed struct {
		By string
		es.Note
	}
)

// EventType and its like give the names on the wire.
func (VoucherIssued) EventType() string   { return "VoucherIssued" }
func (VoucherRedeemed) EventType() string { return "VoucherRedeemed" }

// Commands.
type (
	issue struct {
		Worth int64
		es.Common
	}
	redeem struct {
		By string
		es.Common
	}
)

// Module declares the voucher module. It keeps no ledger: a voucher's worth never moves.
func Module() es.Module {
	return es.Module{
		Name: "vouchers", Noun: "voucher", Prefix: "voucher:",
		Commands: []es.CommandType{
			es.Rule("issue", "Issue a voucher.", decideIssue,
				es.IntField("worth", es.KindAmount, "What it is worth, in minor units.", func(c *issue) *int64 { return &c.Worth }),
			).For(access.Create).Emits("VoucherIssued"),
			es.Rule("redeem", "Redeem the voucher.", decideRedeem,
				es.StringField("by", es.KindText, "Who redeems it.", func(c *redeem) *string { return &c.By }),
			).For(access.Use).Emits("VoucherRedeemed"),
		},
		Events: []es.EventType{
			es.EventOf("The voucher was issued.",
				es.IntField("worth", es.KindAmount, "What it is worth, in minor units.", func(e *VoucherIssued) *int64 { return &e.Worth })),
			es.EventOf("The voucher was redeemed.",
				es.StringField("by", es.KindText, "Who redeemed it.", func(e *VoucherRedeemed) *string { return &e.By })),
		},
		View: es.View{
			Fields: []es.ViewField{
				{Spec: es.Spec{Name: "id", Kind: es.KindID, Doc: "The id the client chose."}, Sorted: true, Search: true},
				{Spec: es.Spec{Name: "status", Kind: es.KindWord, Words: []string{Open, Redeemed}, Doc: "Whether it can be redeemed."}, Lookup: es.Equal},
				{Spec: es.Spec{Name: "worth", Kind: es.KindBalance, Doc: "In minor units."}, Lookup: es.Between, Sorted: true},
				{Spec: es.Spec{Name: "version", Kind: es.KindNumber, Doc: "How many events it has."}},
			},
			Values: func(id string, f *es.Folded) []es.Value {
				v, _ := f.State.(Voucher)
				return []es.Value{{Str: id}, {Str: v.Status}, {Int: v.Worth}, {Int: int64(f.Version)}}
			},
		},
		Refusals: []*fault.Fault{ErrIssued, ErrNotFound, ErrRedeemed},
		Apply:    es.Applying(apply),
		State: es.StateOf(1,
			es.StringField("status", es.KindWord, "Whether it can be redeemed.", func(v *Voucher) *string { return &v.Status }),
			es.IntField("worth", es.KindAmount, "What it is worth, in minor units.", func(v *Voucher) *int64 { return &v.Worth }),
			es.StringField("redeemer", es.KindText, "Who redeemed it.", func(v *Voucher) *string { return &v.Redeemer }).Optional(),
		),
	}
}

func decideIssue(d es.Decision[Voucher], c *issue) ([]es.Emitted, error) {
	if d.Exists(0) {
		return nil, ErrIssued
	}
	return es.Emit(VoucherIssued{c.Worth, c.Note}), nil
}

func decideRedeem(d es.Decision[Voucher], c *redeem) ([]es.Emitted, error) {
	switch {
	case !d.Exists(0):
		return nil, ErrNotFound
	case d.State(0).Status == Redeemed:
		return nil, ErrRedeemed
	}
	return es.Emit(VoucherRedeemed{c.By, c.Note}), nil
}

func apply(v Voucher, e es.Event) Voucher {
	switch e := e.(type) {
	case VoucherIssued:
		v.Status, v.Worth = Open, e.Worth
	case VoucherRedeemed:
		v.Status, v.Redeemer = Redeemed, e.By
	}
	return v
}
