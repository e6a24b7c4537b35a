package test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/test/pgtest"
)

func TestTheConfigurationReferenceIsWhatTheProgramReads(t *testing.T) {
	printed := pgtest.NewHome(t, "").Must("config", "reference")
	written, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), printed); diff != "" {
		t.Errorf("docs/configuration.md is out of date, run make generate (-written +printed):\n%s", diff)
	}
}
