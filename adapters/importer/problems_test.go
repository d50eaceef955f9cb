package importer_test

import (
	"strings"
	"testing"
)

func TestMappingProblems(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"empty":                  {byWords, "", "the mapping is empty"},
		"two documents":          {"name: bank", "name: bank\n---\nname: other", "more than one document"},
		"unknown key":            {"amount: amount", "amuont: amount", "there is no key amuont; the keys are name"},
		"unknown key in time":    {"zone: UTC", "zoone: UTC", "there is no key zoone"},
		"unknown key in words":   {"skip: [note]", "omit: [note]", `direction has no key "omit"`},
		"key twice":              {"id: no", "id: no\nid: no", `mapping key "id" already defined`},
		"no name":                {"name: bank", "", "name is missing"},
		"name with a colon":      {"name: bank", `name: "a:b"`, `name "a:b" must be 1 to 64`},
		"no account":             {"account: acc", "", "account is missing"},
		"no id":                  {"id: no", "", "id is missing"},
		"empty list of ids":      {"id: no", "id: []", "id is missing"},
		"id is a map":            {"id: no", "id: {a: b}", "give the name of one column, or a list"},
		"no amount":              {"\namount: amount", "", "amount is missing"},
		"no format":              {"format: minor", "", `format is ""; write minor`},
		"decimal without digits": {"format: minor", "format: decimal", "digits is missing"},
		"minor with digits":      {"format: minor", "format: minor\ndigits: 2", "digits goes with format: decimal"},
		"too many digits":        {"format: minor", "format: decimal\ndigits: 12", "must be from 0 to 9"},
		"no direction":           {"direction: {column: kind, deposit: [in], withdraw: [out], skip: [note]}", "", "direction is missing"},
		"direction by a word":    {"{column: kind, deposit: [in], withdraw: [out], skip: [note]}", "amount", "write the word sign"},
		"one word, two meanings": {"skip: [note]", "skip: [in]", `the word "in" stands twice`},
		"no layout":              {`layout: "2006-01-02", `, "", "time is missing or incomplete"},
		"layout of other tools":  {`2006-01-02`, "YYYY-MM-DD", `layout "YYYY-MM-DD" says nothing about the year`},
		"no zone":                {", zone: UTC", "", "zone is missing"},
		"unknown zone":           {"zone: UTC", "zone: Mars/Olympus", `zone "Mars/Olympus" is not known`},
		"long separator":         {"name: bank", "name: bank\nseparator: ';;'", "must be one character"},
		"create without owner":   {`owner: "Owner of {acc}", `, "", "owner and currency are needed"},
		"negative limit":         {"currency: CZK", "currency: CZK, overdraftLimit: -5", "overdraftLimit must be an integer from 0"},
		"limit is text":          {"currency: CZK", "currency: CZK, overdraftLimit: lots", "line 11"},
		"owner with open brace":  {"Owner of {acc}", "Owner of {acc", "opens a { that it does not close"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newLedger().importing(t, strings.Replace(byWords, c.old, c.new, 1), head+"a,1,2020-01-01,500,in,0,\n", nil, false)
			if o.err == nil || !strings.Contains(o.err.Error(), c.want) {
				t.Fatalf("got %v\nwant %s", o.err, c.want)
			}
			if strings.Contains(o.err.Error(), "importer.") || strings.Contains(o.err.Error(), "\n") {
				t.Fatalf("not a sentence for people: %v", o.err)
			}
		})
	}
}

func TestFileProblems(t *testing.T) {
	row := "a,1,2020-01-01,500,in,0,\n"
	for name, c := range map[string]struct{ file, want string }{
		"empty":                    {"", "the file is empty"},
		"only a byte order mark":   {"\ufeff", "the file is empty"},
		"missing column":           {"acc,no,day,sum,kind,extra,text\n" + row, `has no column "amount", which the mapping names as amount; its columns are "acc", "no", "day", "sum"`},
		"column of the owner":      {strings.Replace(head, "acc", "account", 1) + row, `no column "acc"`},
		"column twice":             {strings.Replace(head, "text", "amount", 1) + row, `has the column "amount" twice`},
		"another separator":        {strings.ReplaceAll(head+row, ",", ";"), `its columns are "acc;no;day`},
		"header is not UTF-8":      {"acc,n\xe9\n", "line 1 is not UTF-8"},
		"lines of JSON":            {"{\"id\":\"1\"}\n", "the file holds lines of JSON, not CSV"},
		"gzip of nothing":          {"\x1f\x8b\x08", "looks like gzip but cannot be unpacked"},
		"no line end in megabytes": {head + strings.Repeat("x", 2<<20), "line 2 is longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newLedger().importing(t, byWords, c.file, nil, false)
			if o.err == nil || !strings.Contains(o.err.Error(), c.want) {
				t.Fatalf("got %.300v\nwant %s", o.err, c.want)
			}
		})
	}
}

func TestRowProblems(t *testing.T) {
	decimals := strings.Replace(byWords, "format: minor", "format: decimal\ndigits: 2", 1)
	signed := strings.Replace(byWords, "{column: kind, deposit: [in], withdraw: [out], skip: [note]}", "sign", 1)
	for name, c := range map[string]struct{ mapping, row, want string }{
		"account":                     {byWords, "a b,1,2020-01-01,500,in,0,", `column ""acc"": ""a b"" must be 1 to 64`},
		"no account":                  {byWords, ",1,2020-01-01,500,in,0,", `column ""acc"": """" must be 1 to 64`},
		"no id":                       {byWords, "a,,2020-01-01,500,in,0,", `column ""no"": """" must not be empty`},
		"date":                        {byWords, "a,1,2020-02-30,500,in,0,", `""2020-02-30"" is not a time of the layout`},
		"amount with a point":         {byWords, "a,1,2020-01-01,5.00,in,0,", `need format: decimal`},
		"amount of letters":           {decimals, "a,1,2020-01-01,five,in,0,", `is not a decimal number like 12.34`},
		"amount with an exponent":     {decimals, "a,1,2020-01-01,5e2,in,0,", `is not a decimal number like 12.34`},
		"amount of a thousand":        {decimals, `a,1,2020-01-01,"1,000.00",in,0,`, `is not a decimal number like 12.34`},
		"a third digit":               {decimals, "a,1,2020-01-01,5.001,in,0,", `at most 2 digits after the point`},
		"a digit beyond all others":   {decimals, "a,1,2020-01-01,1.000000000000000000000000001,in,0,", `at most 2 digits after the point`},
		"amount too large":            {byWords, "a,1,2020-01-01,9007199254740992,in,0,", `is larger than 9007199254740991`},
		"amount too large, decimal":   {decimals, "a,1,2020-01-01,90071992547409.92,in,0,", `is larger than 9007199254740991`},
		"sum too large":               {byWords, "a,1,2020-01-01,9007199254740991,in,1,", `makes the amount larger`},
		"negative with a direction":   {byWords, "a,1,2020-01-01,-500,in,0,", `is negative, but the direction comes from`},
		"direction":                   {byWords, "a,1,2020-01-01,500,IN,0,", `""IN"" is none of the mapping's words`},
		"adjustment":                  {byWords, "a,1,2020-01-01,500,in,zero,", `column ""extra"": ""zero"" is not an integer`},
		"too few fields":              {byWords, "a,1,2020-01-01,500,in", `has 5 fields where the header has 7`},
		"too many fields":             {byWords, "a,1,2020-01-01,500,in,0,,", `has 8 fields where the header has 7`},
		"a quote in a field":          {byWords, `a,1,2020-01-01,500,in,0,5" pipe`, `is not CSV: `},
		"a quote that is not closed":  {byWords, `a,1,2020-01-01,500,in,0,"text`, `is not CSV: `},
		"not UTF-8":                   {byWords, "a,1,2020-01-01,500,in,0,\xe1", `is not UTF-8; convert the file first`},
		"refused by the rules":        {signed, "a,1,2020-01-01,-500,,,", "not enough money"},
		"a withdrawal by adjustment":  {byWords, "a,1,2020-01-01,5,in,-6,", "not enough money"},
		"used for something else now": {byWords, "a,0,2020-01-01,8,in,0,", "the id was used for something else"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			good := "b,%,2020-01-01,7,in,0,fine\n"
			o := l.importing(t, c.mapping, head+strings.Replace(good, "%", "0", 1)+c.row+"\n"+strings.Replace(good, "%", "9", 1), nil, false)
			if o.err != nil || o.counts.Rows != 3 || o.counts.Rejected != 1 || o.counts.Posted != 2 {
				t.Fatalf("%v %+v", o.err, o.counts)
			}
			if !strings.Contains(o.rejects, c.want) || !strings.Contains(o.rejects, ",3,") {
				t.Fatalf("got %s\nwant %s", o.rejects, c.want)
			}
		})
	}
}

func TestFormsOfFiles(t *testing.T) {
	signed := strings.NewReplacer("{column: kind, deposit: [in], withdraw: [out], skip: [note]}", "sign",
		"name: bank", "name: bank\nseparator: ';'", "format: minor", "format: decimal\ndigits: 2").Replace(byWords)
	for name, c := range map[string]struct{ mapping, file, want string }{
		"byte order mark and CRLF":      {byWords, "\ufeff" + strings.ReplaceAll(head, "\n", "\r\n") + "a,1,2020-01-01,5,in,0,x\r\n", "bank:1 a +5"},
		"no line end at the end":        {byWords, head + "a,1,2020-01-01,5,in,0,x", "bank:1 a +5"},
		"empty lines":                   {byWords, head + "\n \na,1,2020-01-01,5,in,0,x\n\n", "bank:1 a +5"},
		"fields over several lines":     {byWords, head + "a,1,2020-01-01,5,in,0,\"x\ny\n\"\"z\"\"\"\na,2,2020-01-01,1,out,0,\n", "bank:1 a +5|bank:2 a -1"},
		"signs, semicolons, decimals":   {signed, strings.ReplaceAll(head, ",", ";") + "a;1;2020-01-01;+5.5;;;\na;2;2020-01-01;-0.05;;;\na;3;2020-01-01;.50;;-0.25;\n", "bank:1 a +550|bank:2 a -5|bank:3 a +25"},
		"columns in any order":          {byWords, "text,extra,kind,amount,day,no,acc,more\nx,0,in,5,2020-01-01,1,a,?\n", "bank:1 a +5"},
		"ids of several columns":        {strings.Replace(byWords, "id: no", "id: [acc, no]", 1), head + "a,1,2020-01-01,5,in,0,x\n", "bank:a-1 a +5"},
		"rows to skip may be half full": {byWords, head + "a,,,,note,,\na,1,2020-01-01,5,in,0,x\n", "bank:1 a +5"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			o := l.importing(t, c.mapping, c.file, nil, false)
			if got := strings.TrimPrefix(strings.Join(l.wrote, "|"), "bank:create:a a +0|"); o.err != nil || o.counts.Rejected > 0 || got != c.want {
				t.Fatalf("%v %s\n got %s\nwant %s", o.err, o.rejects, got, c.want)
			}
		})
	}
}
