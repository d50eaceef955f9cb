package apiclient_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"daybook/adapters/apiclient"
)

func TestAnIDComesToTheServerAsItIsWhateverItIsMadeOf(t *testing.T) {
	for _, base := range []string{"", "/ledger"} {
		mux := http.NewServeMux()
		mux.HandleFunc("/v1/letters/{id}/retry", func(w http.ResponseWriter, r *http.Request) {
			_ = json.NewEncoder(w).Encode(r.PathValue("id"))
		})
		c := serve(t, generous, http.StripPrefix(base, mux).ServeHTTP)
		for _, id := range []string{"a", "a b", "a/b", "a/", "50%", "%2F", "%2e%2e", ".", "..", "...", "a.b", ".hidden", "../../v1/status", "ä€", "a?b=c", "a#b", "a;b", "a+b", "a\x1b[2Jb\n", `a"b`} {
			got, err := dial(t, c.Server()+base, generous).Get(t.Context(), "/v1/letters/"+apiclient.Segment(id)+"/retry", nil)
			if err != nil {
				t.Errorf("%q below %q: %v", id, base, err)
				continue
			}
			var text string
			if err := json.Unmarshal(got, &text); err != nil || text != id {
				t.Errorf("%q below %q came as %s", id, base, got)
			}
		}
	}
}

func TestNobodyOnTheWayTakesDotsForAPath(t *testing.T) {
	for id, want := range map[string]string{".": "%2E", "..": "%2E%2E", "a.b": "a.b", "...": "..."} {
		if got := apiclient.Segment(id); got != want {
			t.Errorf("%q is sent as %q", id, got)
		}
	}
}
