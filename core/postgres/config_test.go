package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

const password = "xyzzy-s3cret"

// conninfos that cannot be used, each with the password in a place where a
// message that quotes its input would show it.
var unusableConninfos = []string{
	"host=pg password=" + password + " port=notaport",
	"host=pg password='" + password,
	"host=pg password = '" + password + "' port",
	"host=pg Password=" + password + " connect_timeout=soon",
	"host=pg password='it\\'s " + password + "' port=0",
	"host=pg password=a\\ " + password + " sslmode=wrong",
	"password " + password,
	"host=pg,pg2 port=1,2,3 password=" + password,
	"postgresql://barman:" + password + "@pg:notaport/postgres",
	"postgresql://barman:pass/" + password + "@pg:5432x/postgres",
	"postgresql://barman:se:" + password + "@[::1/postgres",
	"postgresql://barman@pg/postgres?pass%77ord=" + password + "&sslmode=wrong",
	"postgres://barman:%zz" + password + "@pg/postgres",
	"host=pg sslkey=/nowhere sslcert=/nowhere sslpassword=" + password,
	"host=pg target_session_attrs=" + password,
	"host=pg requirepeer=postgres password=" + password,
	"host=pg sslmode=verify-full sslrootcert=/" + password,
	"service=" + password,
}

func TestUnusableConninfoIsInvalidAndItsPasswordStaysSecret(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for _, conninfo := range unusableConninfos {
		for _, connect := range map[string]func() error{
			"management": func() error { _, err := Connect(t.Context(), conninfo, ""); return err },
			"streaming":  func() error { _, err := ConnectReplication(t.Context(), conninfo, ""); return err },
		} {
			err := connect()
			if kind := sdk.KindOf(err); kind != sdk.Invalid {
				t.Errorf("a conninfo is %v, want invalid: %v", kind, err)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the password is in the message: %v", err)
			}
		}
	}
}

func TestConninfoGetsNameTimeoutAndNoLibpqOnlyParameters(t *testing.T) {
	tests := []struct {
		conninfo, given string
		name            string
		timeout         time.Duration
	}{
		{"host=pg", "", "barman", 10 * time.Second},
		{"host=pg", "barman_receive_wal", "barman_receive_wal", 10 * time.Second},
		{"host=pg application_name=mine connect_timeout=3", "barman", "mine", 3 * time.Second},
		{"host=pg fallback_application_name=other connect_timeout=0", "barman", "other", 10 * time.Second},
		{"postgresql://barman@pg/postgres?connect_timeout=4", "", "barman", 4 * time.Second},
		{"host=pg keepalives=1 keepalives_idle=5 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=9 gssencmode=disable", "", "barman", 10 * time.Second},
	}
	for _, test := range tests {
		cfg, err := parseConninfo(test.conninfo, test.given)
		if err != nil {
			t.Fatalf("%s: %v", test.conninfo, err)
		}
		if got := cfg.RuntimeParams["application_name"]; got != test.name {
			t.Errorf("%s: application_name is %q, want %q", test.conninfo, got, test.name)
		}
		if cfg.ConnectTimeout != test.timeout {
			t.Errorf("%s: connect timeout is %v, want %v", test.conninfo, cfg.ConnectTimeout, test.timeout)
		}
		for name := range cfg.RuntimeParams {
			if name != "application_name" && name != "client_encoding" {
				t.Errorf("%s: the server would be sent %q", test.conninfo, name)
			}
		}
	}
}

func TestReplicationConninfoNamesTheReplicationDatabase(t *testing.T) {
	for _, conninfo := range []string{
		"host=pg user=barman", "host=pg dbname=postgres user=barman ", "host=pg user=barman replication=database",
		"postgresql://barman@pg", "postgres://barman@pg:5433", "postgresql://barman@pg/", "postgresql://barman@pg/postgres",
		"postgresql://barman@pg/postgres?sslmode=disable", "postgresql://barman@pg?sslmode=disable",
	} {
		cfg, err := parseReplicationConninfo(conninfo, "")
		if err != nil {
			t.Fatalf("%s: %v", conninfo, err)
		}
		if cfg.Database != "replication" || cfg.RuntimeParams["replication"] != "true" || cfg.User != "barman" || cfg.Host != "pg" {
			t.Errorf("%s: database %q, replication %q, user %q, host %q", conninfo, cfg.Database, cfg.RuntimeParams["replication"], cfg.User, cfg.Host)
		}
	}
}

func TestEndpointNamesEachHostOnce(t *testing.T) {
	cfg, err := parseConninfo("host=a,b port=5432 user=barman dbname=db sslmode=prefer password="+password, "")
	if err != nil {
		t.Fatal(err)
	}
	want := "PostgreSQL connection (host=a port=5432 or host=b port=5432 user=barman dbname=db)"
	if got := endpointOf(&cfg.Config, false).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzParseConninfo: no input crashes the parser, and no message quotes a word
// of it that follows "password".
func FuzzParseConninfo(f *testing.F) {
	f.Add("host=pg user=barman", " port=x")
	f.Add("postgresql://barman:", "@pg:5432x/db")
	for _, conninfo := range unusableConninfos {
		before, after, _ := strings.Cut(conninfo, password)
		f.Add(before, after)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, replication := range []bool{false, true} {
			var err error
			if replication {
				_, err = parseReplicationConninfo(before+password+after, "")
			} else {
				_, err = parseConninfo(before+password+after, "")
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("quoted: %v", err)
			}
		}
	})
}

func FuzzSlotName(f *testing.F) {
	for _, seed := range []string{"barman", "", "a b", "Barman", "x; DROP", strings.Repeat("a", 64), "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkSlotName(name) == nil && (name == "" || strings.ContainsAny(name, " \"';\n\\-") || name != strings.ToLower(name)) {
			t.Errorf("%q passes as a slot name", name)
		}
	})
}
