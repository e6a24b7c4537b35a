package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/storetest"
)

// configure leads a sink to a container in which the server "main" is at the top.
func configure(b *storetest.Bucket) Config {
	return Config{
		URL: b.URL, ConnectionString: sdk.Secret(b.Var("AZURE_STORAGE_CONNECTION_STRING")), SASToken: sdk.Secret(b.Var("AZURE_STORAGE_SAS_TOKEN")),
		AccountKey: sdk.Secret(b.Var("AZURE_STORAGE_KEY")), PartSize: partSize, Patience: 20 * time.Second,
	}
}

// partSize makes large what is quickly stored.
const partSize = 256 << 10

func start(t *testing.T, c Config) sdk.Sink {
	t.Helper()
	s, err := open(t.Context(), sdk.Server{Name: "main"}, &c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const segment = "wals/0000000100000000/000000010000000000000001"

func TestRequestsAreAsFewAsCanBe(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewAzure(t))
	s := start(t, configure(b))
	count := func(what string, want map[string]int, do func() error) {
		t.Helper()
		proxy.Forget()
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		got := map[string]int{}
		for _, r := range proxy.Requests() {
			got[r.Method+" "+strings.Join(slices.Sorted(maps.Keys(r.Query)), ",")]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s takes other requests (-wanted +sent):\n%s", what, diff)
		}
	}
	const list = "GET comp,prefix,restype"
	count("a small object", map[string]int{"PUT ": 1}, func() error { return storetest.Put(t.Context(), s, "base/a/backup.info", storetest.Random(100)) })
	count("a WAL segment", map[string]int{"PUT ": 1, list: 1}, func() error { return storetest.Put(t.Context(), s, segment, storetest.Random(100)) })
	count("an object of four parts", map[string]int{"PUT blockid,comp": 4, "PUT comp": 1}, func() error {
		return storetest.Put(t.Context(), s, "base/a/data/base.tar", storetest.Random(4*partSize))
	})
	count("reading it", map[string]int{"GET ": 1}, func() error {
		_, err := storetest.Get(t.Context(), s, "base/a/data/base.tar")
		return err
	})
	var names []string
	for _, name := range []string{"backup.info", "data/base.tar", "data/1.tar", "data/2.tar"} {
		names = append(names, "base/a/"+name)
	}
	count("deleting four, of which two are missing", map[string]int{"POST comp,restype": 1}, func() error { return s.Delete(t.Context(), names) })
}

func TestBlobsAreStoredAsTheSettingsSay(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewAzure(t))
	c := configure(b)
	c.EncryptionScope, c.AccessTier = "backups", "Cool"
	c.Tags, c.HistoryTags = map[string]string{"team": "data + more"}, map[string]string{"keep": "always"}
	s := start(t, c)
	for name, size := range map[string]int{"base/a/data/base.tar": 2*partSize + 1, segment: 100, "wals/00000002.history": 50} {
		if err := storetest.Put(t.Context(), s, name, storetest.Random(size)); err != nil {
			t.Fatal(err)
		}
	}
	writes := 0
	for _, r := range proxy.Requests() {
		if r.Method != "PUT" {
			continue
		}
		writes++
		if got := r.Header.Get("X-Ms-Encryption-Scope"); got != "backups" {
			t.Errorf("%s?%s is sent with the encryption scope %q", r.Path, r.Query.Encode(), got)
		}
		if r.Query.Get("comp") == "block" {
			continue
		}
		tags := "team=data+%2B+more"
		if strings.HasSuffix(r.Path, ".history") {
			tags = "keep=always"
		}
		if got := r.Header.Get("X-Ms-Tags"); got != tags {
			t.Errorf("%s is stored with the tags %q", r.Path, got)
		}
		if got := r.Header.Get("X-Ms-Access-Tier"); got != "Cool" {
			t.Errorf("%s is stored in the tier %q", r.Path, got)
		}
	}
	if writes != 6 {
		t.Errorf("%d requests write", writes)
	}
}

func TestAContainerIsCreatedIfThatIsWanted(t *testing.T) {
	b := storetest.NewAzure(t)
	c := configure(b)
	c.URL += "-new"
	_, err := storetest.List(t.Context(), start(t, c), "")
	storetest.WantKind(t, "list a container that is missing", err, sdk.NotFound, c.URL)
	storetest.WantKind(t, "store in it", storetest.Put(t.Context(), start(t, c), segment, nil), sdk.Invalid, c.URL, "create the container")
	c.CreateBucket = true
	for range 2 {
		if names, err := storetest.List(t.Context(), start(t, c), ""); err != nil || len(names) > 0 {
			t.Errorf("%q, %v", names, err)
		}
	}
}

// Their names need escaping, too.
func TestMoreBlobsThanFitABatchAreListedAndDeleted(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewAzure(t))
	s := start(t, configure(b))
	var names []string
	for i := range 300 {
		names = append(names, "base/a/"+string(rune('a'+i%26))+strings.Repeat("x", i/26)+" +%?#ü")
	}
	for _, name := range names {
		b.Put("main/"+name, nil)
	}
	slices.Sort(names)
	got, err := storetest.List(t.Context(), s, "base/a/")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("-stored +listed:\n%s", diff)
	}
	proxy.Forget()
	if err := s.Delete(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	if n := len(proxy.Requests()); n > 6 {
		t.Errorf("%d requests delete %d blobs", n, len(names))
	}
	if left := b.Keys(""); len(left) > 0 {
		t.Errorf("%d are left", len(left))
	}
}
