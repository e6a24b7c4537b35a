package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/storetest"
)

func TestCredentialsAreChosenInTheOrderOfPythonBarman(t *testing.T) {
	all := map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "c", "AZURE_STORAGE_SAS_TOKEN": "?s", "AZURE_STORAGE_KEY": "k"}
	without := func(names ...string) map[string]string {
		rest := map[string]string{}
		for name, value := range all {
			rest[name] = value
		}
		for _, name := range names {
			delete(rest, name)
		}
		return rest
	}
	for _, tc := range []struct {
		config      Config
		environment map[string]string
		want        login
	}{
		{Config{Credential: "azure-cli"}, all, login{source: "the credential azure-cli", flow: azureCLI}},
		{Config{Credential: "managed-identity"}, all, login{source: "the credential managed-identity", flow: managedIdentity}},
		{Config{Credential: "default"}, all, login{source: "the credential default", flow: defaultFlow}},
		{Config{}, all, login{source: "the connection string in AZURE_STORAGE_CONNECTION_STRING", connectionString: "c"}},
		{Config{}, without("AZURE_STORAGE_CONNECTION_STRING"), login{source: "the SAS token in AZURE_STORAGE_SAS_TOKEN", sasToken: "s"}},
		{Config{}, without("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN"), login{source: "the key in AZURE_STORAGE_KEY", key: "k"}},
		{Config{}, nil, login{source: "the default credentials of Azure", flow: defaultFlow}},
		{Config{AccountKey: "mine"}, all, login{source: "the key in the setting account_key", key: "mine"}},
		{Config{SASToken: "mine"}, all, login{source: "the SAS token in the setting sas_token", sasToken: "mine"}},
		{Config{ConnectionString: "mine"}, all, login{source: "the connection string in the setting connection_string", connectionString: "mine"}},
	} {
		if got := findLogin(&tc.config, func(name string) string { return tc.environment[name] }); got != tc.want {
			t.Errorf("%+v with %v: %+v", tc.config, tc.environment, got)
		}
	}
}

func TestCredentialsThatCannotWorkAreExplainedWithoutShowingThem(t *testing.T) {
	place := address{account: "acme", service: "https://acme.blob.core.windows.net", container: "backups"}
	for what, l := range map[string]login{
		"another account": {connectionString: "AccountName=other;AccountKey=c2VjcmV0"},
		"no fields":       {connectionString: "secret"},
		"no key":          {connectionString: "AccountName=acme;Other=secret"},
		"no base64":       {key: "!secret!"},
	} {
		l.source = "the credential of this test"
		_, err := l.client(place, http.DefaultClient, "")
		storetest.WantKind(t, what, err, sdk.Invalid, l.source)
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "c2VjcmV0")) {
			t.Errorf("%s: the error shows the secret: %v", what, err)
		}
	}
}

func TestMistakesInSettingsAreReportedWhereTheyAre(t *testing.T) {
	good := Config{URL: "https://acme.blob.core.windows.net/backups"}
	if found := good.Validate(); len(found) > 0 {
		t.Errorf("%v", found)
	}
	for path, change := range map[string]func(*Config){
		"url":             func(c *Config) { c.URL = "s3://backups" },
		"credential":      func(c *Config) { c.Credential, c.AccountKey = "default", "x" },
		"access_tier":     func(c *Config) { c.AccessTier = "Archive" },
		"tags":            func(c *Config) { c.Tags = manyTags() },
		"history_tags":    func(c *Config) { c.HistoryTags = manyTags() },
		"part_size":       func(c *Config) { c.PartSize = maxBlock + 1 },
		"single_put_size": func(c *Config) { c.SinglePutSize = maxPut + 1 },
		"parallel_parts":  func(c *Config) { c.ParallelParts = -1 },
	} {
		c := good
		change(&c)
		if found := c.Validate(); len(found) != 1 || found[0].Path != path {
			t.Errorf("%s: %v", path, found)
		}
	}
}

func manyTags() map[string]string {
	tags := map[string]string{}
	for i := range maxTags + 1 {
		tags[string(rune('a'+i))] = "x"
	}
	return tags
}
