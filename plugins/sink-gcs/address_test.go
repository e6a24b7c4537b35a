package main

import (
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestURLsOfBuckets(t *testing.T) {
	for text, want := range map[string]address{
		"gs://backups":            {"backups", ""},
		"gs://backups/":           {"backups", ""},
		"gs://backups/pg/prod/":   {"backups", "pg/prod"},
		"gs://backups//pg":        {"backups", "pg"},
		"gs://back_ups.example-1": {"back_ups.example-1", ""},
		"gs://backups/a%20b":      {"backups", "a b"},
		"https://console.cloud.google.com/storage/browser/backups":                              {"backups", ""},
		"https://console.cloud.google.com/storage/browser/backups/pg/prod":                      {"backups", "pg/prod"},
		"https://console.cloud.google.com/storage/browser/backups/pg;tab=objects?project=p&x=y": {"backups", "pg"},
		"https://console.cloud.google.com/storage/browser/backups;tab=objects":                  {"backups", ""},
	} {
		if got, err := parseAddress(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "backups", "gs:", "gs://", "gs:///path", "gs://ab", "gs://Backups", "gs://-backups", "gs://backups-", "gs://user@backups", "gs://backups?x=y", "gs://backups#x",
		"s3://backups", "http://console.cloud.google.com/storage/browser/backups", "https://console.cloud.google.com/storage/backups",
		"https://console.cloud.google.com/storage/browser/", "https://storage.googleapis.com/backups", "gs://" + strings.Repeat("a", 223), "gs://backups:80",
	} {
		if a, err := parseAddress(text); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{"gs://backups/pg", "https://console.cloud.google.com/storage/browser/backups/pg;tab=objects", "gs://a@b?c#d"} {
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
		if strings.HasPrefix(a.path, "/") || strings.HasSuffix(a.path, "/") {
			t.Errorf("%q: %+v", text, a)
		}
		if again, err := parseAddress(a.url()); err != nil || again.bucket != a.bucket {
			t.Errorf("%q: %s is read as %+v, %v", text, a.url(), again, err)
		}
	})
}
