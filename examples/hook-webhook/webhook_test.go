package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

// listener is a server that answers with these codes in turn, the last one for
// ever, and remembers what was posted.
type listener struct {
	*httptest.Server
	codes  []int
	bodies []string
	tokens []string
}

func listen(t *testing.T, codes ...int) *listener {
	l := &listener{codes: codes}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		l.bodies, l.tokens = append(l.bodies, string(body)), append(l.tokens, r.Header.Get("Authorization"))
		w.WriteHeader(l.codes[min(len(l.bodies), len(l.codes))-1])
		if _, err := io.WriteString(w, "so says the listener\n"); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func newWebhook(t *testing.T, config Config) *Webhook {
	t.Helper()
	config.Attempts, config.Timeout = 3, time.Minute
	w, err := New(&config)
	if err != nil {
		t.Fatal(err)
	}
	w.pause = time.Millisecond
	return w
}

var before = sdk.Event{Operation: "backup", Phase: sdk.PhasePre, Server: "main", Values: map[string]string{"BACKUP_ID": "20260102T030405"}}

func TestAnEventIsPostedAsJSON(t *testing.T) {
	l := listen(t, http.StatusAccepted)
	after := sdk.Event{Operation: "backup", Phase: sdk.PhasePost, Server: "main", Error: "no space", Values: before.Values}
	if err := newWebhook(t, Config{URL: l.URL, Token: "secret"}).Notify(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(l.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got["operation"] != "backup" || got["phase"] != "post" || got["error"] != "no space" || got["values"].(map[string]any)["BACKUP_ID"] != "20260102T030405" {
		t.Errorf("%v", got)
	}
	if l.tokens[0] != "Bearer secret" {
		t.Errorf("%q", l.tokens[0])
	}
}

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	l := listen(t, http.StatusBadGateway, http.StatusOK)
	if err := newWebhook(t, Config{URL: l.URL, Veto: true}).Notify(t.Context(), before); err != nil || len(l.bodies) != 2 {
		t.Errorf("%d posts, %v", len(l.bodies), err)
	}
}

func TestOnlyAVetoStopsAnOperation(t *testing.T) {
	for _, veto := range []bool{false, true} {
		l := listen(t, http.StatusConflict)
		err := newWebhook(t, Config{URL: l.URL, Veto: veto}).Notify(t.Context(), before)
		if (err != nil) != veto || len(l.bodies) != 1 {
			t.Errorf("veto %v: %d posts, %v", veto, len(l.bodies), err)
		}
	}
	l := listen(t, http.StatusInternalServerError)
	if err := newWebhook(t, Config{URL: l.URL, Veto: true}).Notify(t.Context(), before); sdk.KindOf(err) != sdk.Unavailable || len(l.bodies) != 3 {
		t.Errorf("%d posts, %v", len(l.bodies), err)
	}
}

func TestSettingsThatCannotBeUsedAreNamed(t *testing.T) {
	for path, config := range map[string]Config{
		"url":      {URL: "ftp://x", Attempts: 1, Timeout: 1},
		"attempts": {URL: "http://x", Timeout: 1},
		"timeout":  {URL: "http://x", Attempts: 1},
	} {
		if found := config.Validate(); len(found) != 1 || found[0].Path != path {
			t.Errorf("%+v: %v", config, found)
		}
	}
}
