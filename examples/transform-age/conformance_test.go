package main

import (
	"testing"

	"filippo.io/age"

	"github.com/barman-go/barman/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sdktest.Transform(t, sdktest.Binary(t, "."), sdktest.Config{
		"recipients":    []string{identity.Recipient().String()},
		"identity_file": identityFile(t, identity.String()),
	})
}
