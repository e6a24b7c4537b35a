package main

import (
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	settings := sdktest.Config{
		"script": `case $BARMAN_STATUS in veto) exit 63;; long) sleep 600;; esac`,
		"retry":  true,
	}
	pre := func(status string) sdk.Event {
		return sdk.Event{Operation: "backup", Phase: sdk.PhasePre, Server: "main", Values: map[string]string{"STATUS": status}}
	}
	long := pre("long")
	sdktest.Hook(t, sdktest.Binary(t, "."), settings, sdktest.HookCases{
		Accepts: []sdk.Event{pre("EMPTY"), {Operation: "archive", Phase: sdk.PhasePost, Server: "main", Error: "it failed"}},
		Vetoes:  []sdk.Event{pre("veto")},
		Lasts:   &long,
	})
}
