package replication

import (
	"fmt"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestPasswordsAreInNoError(t *testing.T) {
	const secret = "hunter2"
	for _, conninfo := range []string{
		"host=x password=" + secret + " port", "host=x password='" + secret, "host=x port=" + secret, "postgres://u:" + secret + "/x?y=z@h:1/db",
		"postgres://u:" + secret + "@h:" + secret + "/db", "passwort=" + secret + " host", "host=x connect_timeout=" + secret, "sslcrl=/x password=" + secret,
		"host=x sslmode=" + secret, "host=x sslrootcert=/nonexistent/" + secret + " sslmode=verify-full", "host=x target_session_attrs=" + secret,
	} {
		_, err := parse(sdk.Secret(conninfo), "")
		if err == nil {
			continue
		}
		if sdk.KindOf(err) != sdk.Invalid || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("kind %v of %v", sdk.KindOf(err), err)
		}
	}
}

func TestParametersOfLibpqDoNotReachTheServer(t *testing.T) {
	cfg, err := parse("host=pg keepalives_idle=5 tcp_user_timeout=9 gssencmode=disable fallback_application_name=x replication=database application_name=theirs", "ours")
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.RuntimeParams) != 1 || cfg.RuntimeParams["application_name"] != "ours" {
		t.Errorf("sent to the server: %v", cfg.RuntimeParams)
	}
}

func TestStreamingConnectionsHaveTheirOwnDatabaseName(t *testing.T) {
	for _, conninfo := range []string{"", "host=pg", "host=pg dbname=x", "postgres://u@pg", "postgres://u@pg/x", "postgresql://u@pg/x?sslmode=disable"} {
		cfg, err := parse(ForStreaming(sdk.Secret(conninfo)), "")
		if err != nil || cfg.Database != "replication" {
			t.Errorf("%q: %v", conninfo, err)
		}
	}
}

func TestASessionOfTheRightKindCanBeAskedForWhileStreaming(t *testing.T) {
	for attributes, want := range map[string]sdk.ErrorKind{"any": sdk.Unknown, "primary": sdk.Unknown, "read-write": sdk.Unknown, "standby": sdk.Unknown, "prefer-standby": sdk.Invalid} {
		cfg, err := parse(ForStreaming(sdk.Secret("host=a,b target_session_attrs="+attributes)), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := Streaming(cfg); sdk.KindOf(err) != want {
			t.Errorf("%s: %v", attributes, err)
		}
	}
}

func TestVersionsAreRead(t *testing.T) {
	for text, want := range map[string]int{"15.14 (Debian 15.14-0+deb12u1)": 15, "18beta1": 18, "9.6.24": 9, "10.0": 10} {
		if got, err := majorVersion(text); err != nil || got != want {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	if _, err := majorVersion("EnterpriseDB"); err == nil {
		t.Error("no error")
	}
}

func TestQuotingClosesWhatItOpens(t *testing.T) {
	if got := QuoteLiteral(`it's`); got != `'it''s'` {
		t.Error(got)
	}
	if got := QuoteIdentifier(`a"b`); got != `"a""b"` {
		t.Error(got)
	}
}
