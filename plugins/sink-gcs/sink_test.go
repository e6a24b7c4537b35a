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

// configure leads a sink to a bucket in which the server "main" is at the top.
func configure(t *testing.T, b *storetest.Bucket) Config {
	t.Setenv("STORAGE_EMULATOR_HOST", b.Var("STORAGE_EMULATOR_HOST"))
	return Config{URL: b.URL, PartSize: partSize, Patience: 20 * time.Second}
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
	b, proxy := storetest.NewProxy(t, storetest.NewGCS(t))
	s := start(t, configure(t, b))
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
	count("a small object", map[string]int{"POST alt,ifGenerationMatch,name,prettyPrint,projection,uploadType": 1}, func() error {
		return storetest.Put(t.Context(), s, "base/a/backup.info", storetest.Random(100))
	})
	count("an object of four parts", map[string]int{"POST ifGenerationMatch,name,uploadType": 1, "PUT name,uploadType,upload_id": 4}, func() error {
		return storetest.Put(t.Context(), s, "base/a/data/base.tar", storetest.Random(4*partSize))
	})
	count("reading it", map[string]int{"GET alt,prettyPrint,projection": 1}, func() error {
		_, err := storetest.Get(t.Context(), s, "base/a/data/base.tar")
		return err
	})
	var names []string
	for _, name := range []string{"backup.info", "data/base.tar", "data/1.tar", "data/2.tar"} {
		names = append(names, "base/a/"+name)
	}
	count("deleting four, of which two are missing", map[string]int{"POST ": 1}, func() error { return s.Delete(t.Context(), names) })
}

func TestObjectsAreStoredAsTheSettingsSay(t *testing.T) {
	b := storetest.NewGCS(t)
	c := configure(t, b)
	c.StorageClass = "NEARLINE"
	c.Tags, c.HistoryTags = map[string]string{"team": "data & more"}, map[string]string{"keep": "always"}
	s := start(t, c)
	for name, size := range map[string]int{"base/a/data/base.tar": 2*partSize + 1, segment: 100, "wals/00000002.history": 50} {
		if err := storetest.Put(t.Context(), s, name, storetest.Random(size)); err != nil {
			t.Fatal(err)
		}
	}
	client, err := newStore(t.Context(), address{bucket: b.Name}, &c)
	if err != nil {
		t.Fatal(err)
	}
	for key, tags := range map[string]map[string]string{"main/base/a/data.tar": c.Tags, "main/" + segment: c.Tags, "main/wals/00000002.history": c.HistoryTags} {
		stored, err := client.bucket.Object(key).Attrs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tags, stored.Metadata); diff != "" {
			t.Errorf("%s: -wanted +stored:\n%s", key, diff)
		}
		if stored.StorageClass != "NEARLINE" {
			t.Errorf("%s has the storage class %q", key, stored.StorageClass)
		}
	}
}

func TestEveryObjectIsEncryptedWithTheKey(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewGCS(t))
	c := configure(t, b)
	c.KMSKey = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
	s := start(t, c)
	for name, size := range map[string]int{"base/a/data/base.tar": 2 * partSize, "base/a/backup.info": 100} {
		if err := storetest.Put(t.Context(), s, name, storetest.Random(size)); err != nil {
			t.Fatal(err)
		}
	}
	begun := 0
	for _, r := range proxy.Requests() {
		if r.Method == "POST" {
			begun++
			if got := r.Query.Get("kmsKeyName"); got != c.KMSKey {
				t.Errorf("%s?%s is sent with the key %q", r.Path, r.Query.Encode(), got)
			}
		}
	}
	if begun != 2 {
		t.Errorf("%d uploads", begun)
	}
}

func TestABucketIsCreatedIfThatIsWanted(t *testing.T) {
	b := storetest.NewGCS(t)
	c := configure(t, b)
	c.URL += "-new"
	_, err := storetest.List(t.Context(), start(t, c), "")
	storetest.WantKind(t, "list a bucket that is missing", err, sdk.NotFound, c.URL)
	storetest.WantKind(t, "store in it", storetest.Put(t.Context(), start(t, c), segment, nil), sdk.Invalid, c.URL, "create the bucket")
	c.CreateBucket = true
	for range 2 {
		if names, err := storetest.List(t.Context(), start(t, c), ""); err != nil || len(names) > 0 {
			t.Errorf("%q, %v", names, err)
		}
	}
}

// Their names need escaping, too.
func TestMoreObjectsThanFitAPageAreListedAndDeleted(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewGCS(t))
	s := start(t, configure(t, b))
	var names []string
	for i := range 1100 {
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
	if n := len(proxy.Requests()); n > 34 {
		t.Errorf("%d requests delete %d objects", n, len(names))
	}
	if left := b.Keys(""); len(left) > 0 {
		t.Errorf("%d are left", len(left))
	}
}
