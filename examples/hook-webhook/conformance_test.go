package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil, bytes.Contains(body, []byte("veto")):
			w.WriteHeader(http.StatusForbidden)
		case bytes.Contains(body, []byte("long")):
			<-r.Context().Done()
		}
	}))
	t.Cleanup(server.Close)
	pre := func(status string) sdk.Event {
		return sdk.Event{Operation: "backup", Phase: sdk.PhasePre, Server: "main", Values: map[string]string{"STATUS": status}}
	}
	long := pre("long")
	sdktest.Hook(t, sdktest.Binary(t, "."), sdktest.Config{"url": server.URL, "veto": true, "timeout": "10m"}, sdktest.HookCases{
		Accepts: []sdk.Event{pre("EMPTY"), {Operation: "archive", Phase: sdk.PhasePost, Server: "main", Error: "it failed"}},
		Vetoes:  []sdk.Event{pre("veto")},
		Lasts:   &long,
	})
}
