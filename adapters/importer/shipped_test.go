package importer_test

import (
	"maps"
	"os"
	"slices"
	"testing"
)

// TestShippedMappings holds the mappings of configs/import against the first rows of the files they are for.
func TestShippedMappings(t *testing.T) {
	for name, c := range map[string]struct{ currency, file, want string }{
		"savings": {"IDR", "account_id,seq,trans_id,timestamp,kind,amount_minor,balance_after_minor,operation\n" +
			"541,1,207167074,2023-09-02 13:43:21+07:00,credit,500000,500000,deposit\n" +
			"541,2,207167075,2023-09-02 13:43:22+07:00,none,0,500000,marker_no_amount\n" +
			"541,3,207167076,2023-09-02 13:43:22+07:00,debit,500,499500,withdrawal\n",
			`{"id":"savings:541-207167074","account":"541","command":"deposit","data":{"amount":500000,"effectiveAt":"2023-09-02T06:43:21Z","description":"deposit"}}`},
		"berka": {"CZK", "account_id,opened,part,seq,trans_id,date,kind,amount_minor,rounding_minor,balance_after_minor,operation,memo,cp_bank,cp_account\n" +
			"9,1993-01-27,P,1,2176,1993-01-27,credit,40000,10,40010,cash_deposit,,,\n" +
			"9,1993-01-27,P,2,2177,1993-01-28,debit,1000,-10,39000,interest,interest,,\n",
			`{"id":"berka:9-2177","account":"9","command":"withdraw","data":{"amount":1010,"effectiveAt":"1993-01-28T00:00:00Z","description":"interest interest"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			mapping, err := os.ReadFile("../../configs/import/" + name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			l := newLedger()
			l.known = c.currency
			o := l.importing(t, string(mapping), c.file, nil, false)
			if o.err != nil || o.counts.Posted != 2 || o.counts.Rejected != 0 {
				t.Fatalf("%v %+v %s", o.err, o.counts, o.rejects)
			}
			if !slices.Contains(slices.Collect(maps.Values(l.content)), c.want) {
				t.Fatalf("%v\nwant %s", l.content, c.want)
			}
		})
	}
}
