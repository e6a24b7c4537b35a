package config

import (
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk/schema"
)

func TestMaskConninfoHidesPasswordsOnly(t *testing.T) {
	tests := map[string]string{
		"host=pg user=barman":                         "host=pg user=barman",
		"host=pg password=hunter2 user=barman":        "host=pg password=(secret) user=barman",
		"PASSWORD = 'hun ter\\'2' host=pg":            "PASSWORD = (secret) host=pg",
		"password=hun\\ ter2":                         "password=(secret)",
		"sslpassword=hunter2 password=hunter2":        "sslpassword=(secret) password=(secret)",
		"passfile=/etc/pgpass":                        "passfile=/etc/pgpass",
		"host=pg password='hunter2":                   "(secret)",
		"postgresql://barman@pg/db":                   "postgresql://barman@pg/db",
		"postgresql://barman:hunter2@pg/db?a=b":       "postgresql://barman:(secret)@pg/db?a=b",
		"postgres://barman:hun@ter2@pg:5432":          "postgres://barman:(secret)@pg:5432",
		"postgres://pg/db?password=hunter2&x=y":       "postgres://pg/db?password=(secret)&x=y",
		"postgres://pg/db?pass%77ord=hunter2":         "postgres://pg/db?pass%77ord=(secret)",
		"postgres://pg/db?%zz=hunter2&sslmode=prefer": "postgres://pg/db?%zz=(secret)&sslmode=prefer",
	}
	for conninfo, want := range tests {
		if got := MaskConninfo(schema.Secret(conninfo)); got != want {
			t.Errorf("%s\n got %s\nwant %s", conninfo, got, want)
		}
		if got := HasPassword(schema.Secret(conninfo)); got != strings.Contains(want, "(secret)") {
			t.Errorf("%s: HasPassword is %v", conninfo, got)
		}
	}
}

func TestCheckConninfoRefusesWhatLibpqWould(t *testing.T) {
	for _, conninfo := range []string{"", " ", "host", "host pg", "host=pg user", "=pg", "host='pg", "postgres://%zz", "postgres://[::1"} {
		if err := checkConninfo(conninfo); err == nil {
			t.Errorf("%q was accepted", conninfo)
		}
	}
	for _, conninfo := range []string{"host=pg", "host = pg", "host='a b' user=x", "application_name=''", "host=", "postgresql://pg/db", "postgresql:///db?host=/tmp"} {
		if err := checkConninfo(conninfo); err != nil {
			t.Errorf("%q: %v", conninfo, err)
		}
	}
}

func FuzzMaskConninfo(f *testing.F) {
	f.Add("host=pg password='a b' user=x")
	f.Add("postgres://a:b@c/d?password=e")
	f.Fuzz(func(t *testing.T, text string) {
		masked := MaskConninfo(schema.Secret(text))
		if isURI(text) || masked == "(secret)" {
			return
		}
		parameters, err := parseConninfo(text)
		if err != nil {
			t.Fatalf("%q cannot be read and is shown as %q", text, masked)
		}
		again, err := parseConninfo(masked)
		if err != nil || len(again) != len(parameters) {
			t.Fatalf("%q is shown as %q", text, masked)
		}
		for i, p := range parameters {
			want := p.value
			if isSecretKeyword(p.keyword) {
				want = "(secret)"
			}
			if again[i].value != want {
				t.Errorf("%q shows %s as %q", text, p.keyword, again[i].value)
			}
		}
	})
}
