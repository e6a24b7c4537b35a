package catalogue

import (
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestIdentityOfBarman34IsReadAndWrittenTheSame(t *testing.T) {
	old := fixture(t)
	id, err := old.ReadIdentity()
	if err != nil || id != (Identity{SystemID: "7710531007977330367", Version: "15"}) {
		t.Fatal(id, err)
	}
	s := newServer(t)
	if err := s.WriteIdentity(id); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, s.identityPath()), read(t, old.identityPath()); got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	wantNoTemporaryFiles(t, s.Layout().BackupDirectory)
}

func TestIdentityIsNeverOverwritten(t *testing.T) {
	s := fixture(t)
	before := read(t, s.identityPath())
	if err := s.WriteIdentity(Identity{SystemID: "7710531007977330367", Version: "17"}); err != nil {
		t.Error(err)
	}
	wantKind(t, s.WriteIdentity(Identity{SystemID: "1", Version: "15"}), sdk.Exists, "7710531007977330367", "another")
	wantKind(t, s.WriteIdentity(Identity{}), sdk.Invalid)
	if read(t, s.identityPath()) != before {
		t.Error("it changed")
	}
}

func TestMissingAndDamagedIdentity(t *testing.T) {
	s := newServer(t)
	_, err := s.ReadIdentity()
	wantKind(t, err, sdk.NotFound)
	for _, content := range []string{"", "{", "[]", "{}", `{"systemid": 7}`, "\x00\x00"} {
		write(t, s.identityPath(), content)
		_, err := s.ReadIdentity()
		wantKind(t, err, sdk.Corrupt, "identity.json")
		wantKind(t, s.WriteIdentity(Identity{SystemID: "1"}), sdk.Corrupt)
	}
}
