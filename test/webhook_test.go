package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

// The plugin is that of examples/hook-webhook, built from a module of its own.
func TestAThirdPartysHookIsToldOfEventsAndMayStopThem(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var posted []string
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Operation, Phase, Server string
			Values                   map[string]string
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		posted = append(posted, strings.Join([]string{event.Server, event.Phase, event.Operation, event.Values["SEGMENT"], r.Header.Get("Authorization")}, " "))
		if strings.HasSuffix(event.Values["SEGMENT"], "2") {
			http.Error(w, "not during the audit", http.StatusConflict)
		}
	}))
	t.Cleanup(listener.Close)
	hooks := ""
	for _, event := range []string{"pre_archive", "post_archive"} {
		hooks += fmt.Sprintf("  hook %q {\n    plugin = \"webhook\"\n    url    = %q\n    token  = \"t\"\n    veto   = true\n  }\n", event, listener.URL)
	}
	home := pgtest.NewHome(t, fmt.Sprintf("plugin \"hook\" \"webhook\" {\n  path = %q\n}\nserver \"main\" {\n  conninfo = \"host=x\"\n%s%s}\n",
		filepath.Join(pgtest.BarmanBin(t), "examples", "barman-plugin-hook-webhook"), byArchiveCommand, hooks))
	const first, second = "000000010000000000000001", "000000010000000000000002"
	home.Must("wal-archive", "main", walSegment(t, first))
	if r := home.Run("wal-archive", "main", walSegment(t, second)); r.Code == 0 || !strings.Contains(r.Stderr, "not during the audit") {
		t.Errorf("what the hook objects to: %+v", r)
	}
	want := []string{"main pre archive " + first + " Bearer t", "main post archive " + first + " Bearer t", "main pre archive " + second + " Bearer t", "main post archive " + second + " Bearer t"}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, posted); diff != "" {
		t.Error(diff)
	}
}
