package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPasswordsAreMasked(t *testing.T) {
	for given, want := range map[string]string{
		"host=pg password=secret user=barman":                "host=pg password=*REDACTED* user=barman",
		"password = 'a b\\' c' user=x":                       "password = *REDACTED* user=x",
		"cp %p /x/%f":                                        "cp %p /x/%f",
		"PGPASSWORD=hunter2 ship %p --password='hunter 2'":   "PGPASSWORD=*REDACTED* ship %p --password=*REDACTED*",
		"PASSWORD=x":                                         "PASSWORD=*REDACTED*",
		"sslpassword=x sslkey=y":                             "sslpassword=*REDACTED* sslkey=y",
		"postgresql://barman:secret@pg:5432/db":              "postgresql://barman:*REDACTED*@pg:5432/db",
		"postgresql://pg/db?user=u&password=secret&a=b":      "postgresql://pg/db?user=u&password=*REDACTED*&a=b",
		"archive_command 'curl https://u:s3cr%21t@x/ %p'":    "archive_command 'curl https://u:*REDACTED*@x/ %p'",
		"host=pg password=(secret) user=x":                   "host=pg password=(secret) user=x",
		"postgres://u:(secret)@pg/":                          "postgres://u:(secret)@pg/",
		"the password file, password authentication failed":  "the password file, password authentication failed",
		"s3://bucket/prefix/2026-01-01T10:00:00/mail@x.test": "s3://bucket/prefix/2026-01-01T10:00:00/mail@x.test",
	} {
		if got := redact(given); got != want {
			t.Errorf("%q becomes %q, not %q", given, got, want)
		}
		if again := redact(redact(given)); again != want {
			t.Errorf("%q, masked twice, becomes %q", given, again)
		}
	}
}

func TestNoFormatPrintsAPassword(t *testing.T) {
	const conninfo = `host=pg password='gehe "im' user=x`
	for name, p := range map[string]func(stdout, stderr io.Writer) printer{
		"console": func(stdout, stderr io.Writer) printer { return &console{stdout: stdout, stderr: stderr} },
		"document": func(stdout, stderr io.Writer) printer {
			return &document{stdout: stdout, stderr: stderr, object: map[string]any{}}
		},
		"quiet document": func(stdout, stderr io.Writer) printer {
			return &document{stdout: stdout, stderr: stderr, quiet: true, object: map[string]any{}}
		},
	} {
		var out bytes.Buffer
		printer := p(&out, &out)
		printer.answer(versionAnswer{own: conninfo})
		printer.info(conninfo)
		printer.warn(conninfo)
		printer.fail(errors.New(conninfo))
		if err := printer.finish(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "gehe") || !strings.Contains(out.String(), redacted) {
			t.Errorf("%s prints %s", name, out.String())
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("host=pg password=secret")
	f.Add("postgresql://u:p@h/?password=x")
	f.Fuzz(func(t *testing.T, text string) {
		once := redact(text)
		if !mayHoldSecrets(text) && once != text {
			t.Errorf("%q became %q", text, once)
		}
		if strings.Contains(redact("password=Geheimnis "+text), "Geheimnis") && !strings.Contains(text, "Geheimnis") {
			t.Errorf("a password before %q is not masked", text)
		}
	})
}
