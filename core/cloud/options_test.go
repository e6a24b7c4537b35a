package cloud

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk"
)

func TestEachProviderGetsTheOptionsThatItHas(t *testing.T) {
	all := Options{
		Endpoint: "http://store", Profile: "p", Region: "r", ReadTimeout: time.Minute, Encryption: "aws:kms", KMSKeyID: "id", KMSKeyName: "name",
		Credential: "default", EncryptionScope: "scope", Tags: []Tag{{"k", "v"}}, BlockSize: 1 << 20, Concurrency: 3, SinglePut: 64 << 20,
	}
	tags := map[string]string{"k": "v"}
	for url, want := range map[string]pipeline.Stage{
		"s3://b/p": {Kind: "sink", Name: "s3", Settings: pipeline.Values{
			"url": "s3://b/p", "endpoint": "http://store", "profile": "p", "region": "r", "read_timeout": "1m0s", "encryption": "aws:kms", "kms_key_id": "id", "tags": tags}},
		"https://a.blob.core.windows.net/c": {Kind: "sink", Name: "azure", Settings: pipeline.Values{
			"url": "https://a.blob.core.windows.net/c", "credential": "default", "encryption_scope": "scope", "part_size": "1MiB", "parallel_parts": 3, "single_put_size": "64MiB", "tags": tags}},
		"gs://b": {Kind: "sink", Name: "gcs", Settings: pipeline.Values{"url": "gs://b", "kms_key": "name", "tags": tags}},
	} {
		all.URL = url
		got, err := all.sink()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", url, err, diff)
		}
	}
}

func TestAProviderIsTheOneThatIsGivenOrTheURLs(t *testing.T) {
	for url, want := range map[string]string{
		"s3://b": "s3", "gs://b": "gcs", "https://console.cloud.google.com/storage/browser/b": "gcs", "https://a.blob.core.windows.net/c": "azure",
		"http://127.0.0.1:10000/account/c": "azure", "x://b": "s3", "": "s3",
	} {
		if got, err := (Options{URL: url}).sink(); err != nil || got.Name != want {
			t.Errorf("%q: %s, %v", url, got.Name, err)
		}
	}
	if got, err := (Options{URL: "s3://b", Provider: GCS}).sink(); err != nil || got.Name != "gcs" {
		t.Errorf("%s, %v", got.Name, err)
	}
	if _, err := (Options{Provider: "nobody"}).sink(); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("%v", err)
	}
	for _, server := range []string{"", ".", "..", "a/b", "a\x00"} {
		if _, err := Open(nil, Options{URL: "s3://b"}, server); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("server %q: %v", server, err)
		}
	}
}
