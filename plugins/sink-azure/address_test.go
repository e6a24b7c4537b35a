package main

import (
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestURLsOfContainers(t *testing.T) {
	for text, want := range map[string]address{
		"https://acme.blob.core.windows.net/backups":                    {"acme", "https://acme.blob.core.windows.net", "backups", ""},
		"https://acme.blob.core.windows.net/backups/":                   {"acme", "https://acme.blob.core.windows.net", "backups", ""},
		"https://acme.blob.core.windows.net/backups/pg/prod/":           {"acme", "https://acme.blob.core.windows.net", "backups", "pg/prod"},
		"https://acme.blob.core.windows.net:443/backups":                {"acme", "https://acme.blob.core.windows.net:443", "backups", ""},
		"https://acme.blob.core.usgovcloudapi.net/backups/p":            {"acme", "https://acme.blob.core.usgovcloudapi.net", "backups", "p"},
		"https://acme.z13.blob.storage.azure.net/backups":               {"acme", "https://acme.z13.blob.storage.azure.net", "backups", ""},
		"https://acme.blob.core.windows.net/backups/with%20space":       {"acme", "https://acme.blob.core.windows.net", "backups", "with space"},
		"http://127.0.0.1:10000/devstoreaccount1/backups":               {"devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1", "backups", ""},
		"http://azurite:10000/devstoreaccount1/backups/deep/path":       {"devstoreaccount1", "http://azurite:10000/devstoreaccount1", "backups", "deep/path"},
		"https://storage.example.com/acme/back-ups":                     {"acme", "https://storage.example.com/acme", "back-ups", ""},
		"http://evil.example/x.blob.core.windows.net/backups":           {"x.blob.core.windows.net", "http://evil.example/x.blob.core.windows.net", "backups", ""},
		"https://ACME.BLOB.CORE.WINDOWS.NET/backups":                    {"acme", "https://ACME.BLOB.CORE.WINDOWS.NET", "backups", ""},
		"http://[::1]:10000/devstoreaccount1/backups":                   {"devstoreaccount1", "http://[::1]:10000/devstoreaccount1", "backups", ""},
		"https://acme.blob.core.windows.net/" + strings.Repeat("a", 63): {"acme", "https://acme.blob.core.windows.net", strings.Repeat("a", 63), ""},
	} {
		if got, err := parseAddress(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "backups", "s3://bucket/path", "azure://acme/backups", "https://", "https:///backups", "https://acme.blob.core.windows.net",
		"https://acme.blob.core.windows.net/", "https://acme.blob.core.windows.net//backups", "https://acme.blob.core.windows.net/Backups",
		"https://acme.blob.core.windows.net/ab", "https://acme.blob.core.windows.net/a--b", "https://acme.blob.core.windows.net/abc-",
		"https://acme.blob.core.windows.net/" + strings.Repeat("a", 64), "https://acme.blob.core.windows.net/backups#x",
		"http://127.0.0.1:10000/devstoreaccount1", "http://127.0.0.1:10000", "http://127.0.0.1:port/devstoreaccount1/backups",
		"https://acme.blob.core.windows.net/backups?sv=2024&sig=secret", "https://acme:secret@acme.blob.core.windows.net/backups", "https://acme.blob.core.windows.net/%zzsecret",
	} {
		_, err := parseAddress(text)
		if sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%s: %v", text, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows what may be secret: %v", text, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{"https://acme.blob.core.windows.net/backups/p", "http://127.0.0.1:10000/devstoreaccount1/backups", "https://a@b/c?d#e"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAddress(text)
		if err != nil {
			if sdk.KindOf(err) != sdk.Invalid {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if a.account == "" || a.container == "" || strings.HasPrefix(a.path, "/") || strings.HasSuffix(a.path, "/") {
			t.Errorf("%q: %+v", text, a)
		}
		if again, err := parseAddress(a.url()); err != nil || again.container != a.container || again.account != a.account {
			t.Errorf("%q: %s is read as %+v, %v", text, a.url(), again, err)
		}
	})
}
