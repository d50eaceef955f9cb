package spec

import (
	"strings"
	"testing"

	"daybook/test/voucher"
)

// A specification that cannot fail proves nothing: each of these cases is wrong, and says how.
func TestCaseThatIsWrongFailsAndSaysWhy(t *testing.T) {
	issued := voucher.VoucherIssued{Worth: 500}
	issue := Command("issue", "v1", Fields{"worth": 500})
	redeem := Command("redeem", "v1", Fields{"by": "Ada"})
	for sentence, c := range map[string]struct {
		Case
		says string
	}{
		"neither events nor a refusal":     {Case{When: issue}, "either Then or Fails"},
		"accepted where a refusal is due":  {Case{When: issue, Fails: voucher.ErrIssued}, "was accepted, want the refusal voucher_exists"},
		"refused where events are due":     {Case{When: redeem, Then: Stream("v1", voucher.VoucherRedeemed{By: "Ada"})}, "was refused: voucher_not_found"},
		"another refusal":                  {Case{When: redeem, Fails: voucher.ErrRedeemed}, "refused with voucher_not_found"},
		"a refusal without its figures":    {Case{When: redeem, Fails: voucher.ErrNotFound.With("worth", 1)}, "with the figures [], want [{worth 1}]"},
		"other events":                     {Case{When: issue, Then: Stream("v1", voucher.VoucherIssued{Worth: 501})}, "want\n\tv1: VoucherIssued{Worth:501"},
		"the right event, another stream":  {Case{When: issue, Then: Stream("v2", issued)}, "v1: VoucherIssued"},
		"an unknown command":               {Case{When: Command("burn", "v1", nil), Then: Stream("v1")}, `no command "burn"`},
		"a field the command has not":      {Case{When: Command("issue", "v1", Fields{"worth": 5, "by": "Ada"}), Then: Stream("v1")}, "fewer fields"},
		"a field left out":                 {Case{When: Command("issue", "v1", nil), Then: Stream("v1")}, `"worth" is missing`},
		"a field of another type":          {Case{When: Command("issue", "v1", Fields{"worth": "5"}), Then: Stream("v1")}, "is no string"},
		"a value no door would let in":     {Case{When: Command("issue", "v1", Fields{"worth": 0}), Then: Stream("v1")}, "must be an integer from 1"},
		"a type that no field ever has":    {Case{When: Command("issue", "v1", Fields{"worth": 5.0}), Then: Stream("v1")}, "cannot hold a float64"},
		"a command that emits nothing due": {Case{Given: Stream("v1", issued), When: redeem, Then: Streams{}}, "want\n\tno events"},
	} {
		t.Run(sentence, func(t *testing.T) {
			err := c.check(voucher.Module())
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want words with %q", err, c.says)
			}
		})
	}
}

func TestModuleDeclaresWhatItsRulesAnswer(t *testing.T) {
	m := voucher.Module()
	m.Refusals = m.Refusals[1:]
	c := Case{Given: Stream("v1", voucher.VoucherIssued{Worth: 5}), When: Command("issue", "v1", Fields{"worth": 5}), Fails: voucher.ErrIssued}
	if err := c.check(m); err == nil || !strings.Contains(err.Error(), "not among the refusals") {
		t.Errorf("a refusal that is not declared: %v", err)
	}
	m = voucher.Module()
	m.Command("issue").Events = nil
	c = Case{When: Command("issue", "v1", Fields{"worth": 5}), Then: Stream("v1", voucher.VoucherIssued{Worth: 5})}
	if err := c.check(m); err == nil || !strings.Contains(err.Error(), "not among the events") {
		t.Errorf("an event that is not declared: %v", err)
	}
}

func TestStreamsCanBeExtendedIndependently(t *testing.T) {
	base := Stream("v1", voucher.VoucherIssued{Worth: 1})
	a, b := base.And("a"), base.And("b")
	if len(base) != 1 || a[1].id != "a" || b[1].id != "b" {
		t.Errorf("one extension changed another: %v %v %v", base, a, b)
	}
}
