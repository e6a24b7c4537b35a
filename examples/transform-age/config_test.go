package main

import (
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/schema"
)

func TestTheSettingsHaveASchema(t *testing.T) {
	s, err := schema.Of(&Config{})
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := s.Attribute("recipients"); !a.Required || a.Type != schema.List {
		t.Errorf("recipients is %+v", a)
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	classic := newIdentity(t)
	quantum, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	good := classic.Recipient().String()
	for _, tc := range []struct {
		name   string
		config Config
		path   string
		says   string
	}{
		{"none", Config{}, "recipients", "age-keygen"},
		{"a word", Config{Recipients: []string{good, "alice"}}, "recipients", `Recipient 2: "alice" does not begin with age1`},
		{"a typing mistake", Config{Recipients: []string{good[:20] + "q" + good[21:len(good)-1]}}, "recipients", "Recipient 1"},
		{"an ssh key", Config{Recipients: []string{"ssh-ed25519 AAAA"}}, "recipients", "does not begin with age1"},
		{"both kinds", Config{Recipients: []string{good, quantum.Recipient().String()}}, "recipients", "1 of 2 recipients"},
		{"a secret key", Config{Recipients: []string{classic.String()}}, "recipients", "age-keygen -y"},
		{"a relative path", Config{Recipients: []string{good}, IdentityFile: "keys.txt"}, "identity_file", `"keys.txt"`},
	} {
		found := tc.config.Validate()
		if len(found) != 1 || found[0].Path != tc.path || !strings.Contains(found[0].Detail, tc.says) {
			t.Errorf("%s: %v", tc.name, found)
		}
		if strings.Contains(found.Error(), classic.String()) {
			t.Errorf("%s: the secret key is shown", tc.name)
		}
		if _, err := New(&tc.config); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%s: New gives %v", tc.name, err)
		}
	}
	if found := (&Config{Recipients: []string{good}, IdentityFile: "/etc/barman/key.txt"}).Validate(); len(found) > 0 {
		t.Errorf("right settings: %v", found)
	}
}

func TestValidateReportsEveryRecipient(t *testing.T) {
	config := Config{Recipients: []string{"one", "two", "age1three"}}
	if found := config.Validate(); len(found) != 3 {
		t.Errorf("three bad recipients: %v", found)
	}
}
