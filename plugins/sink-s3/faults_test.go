package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/storetest"
)

func TestAMistakeIsExplainedAtOnce(t *testing.T) {
	b := storetest.NewS3(t)
	for what, tc := range map[string]struct {
		change func(c *Config)
		kind   sdk.ErrorKind
		words  []string
	}{
		"wrong key":    {func(c *Config) { c.AccessKeyID = "nobody" }, sdk.Denied, []string{"access_key_id", b.URL}},
		"wrong secret": {func(c *Config) { c.SecretAccessKey = "wrong-secret-key" }, sdk.Denied, []string{"secret_access_key"}},
		"wrong token":  {func(c *Config) { c.SessionToken = "wrong-secret-key" }, sdk.Denied, []string{"session token"}},
		"wrong region": {func(c *Config) { c.Region = "eu-north-1" }, sdk.Invalid, []string{"region"}},
	} {
		c := configure(b)
		tc.change(&c)
		s := start(t, c)
		_, err := storetest.List(t.Context(), s, "")
		wantKind(t, what+", list", err, tc.kind, tc.words...)
		wantKind(t, what+", put", storetest.Put(t.Context(), s, "base/a/backup.info", []byte("x")), tc.kind, tc.words...)
		_, err = storetest.Get(t.Context(), s, segment)
		wantKind(t, what+", get", err, tc.kind, tc.words...)
	}
}

func TestWhatTheStoreRefusesIsExplainedAtOnce(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
	s := start(t, configure(b))
	for code, tc := range map[string]struct {
		status int
		words  string
	}{
		"ExpiredToken": {400, "expired"}, "RequestTimeTooSkewed": {403, "clock"}, "AccessDenied": {403, "s3:PutObject"},
	} {
		proxy.Fail(storetest.Fault{Does: storetest.Answer(tc.status, code)})
		wantKind(t, code, storetest.Put(t.Context(), s, "base/a/backup.info", []byte("x")), sdk.Denied, tc.words)
		proxy.Heal()
	}
}

func TestAMissingPermissionIsDenied(t *testing.T) {
	b := storetest.NewS3(t)
	if err := storetest.Put(t.Context(), start(t, configure(b)), "base/a/backup.info", []byte("x")); err != nil {
		t.Fatal(err)
	}
	policy := func(actions string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[%s],"Resource":["arn:aws:s3:::*"]}]}`, actions)
	}
	reader := start(t, configure(b.Restricted(policy(`"s3:GetObject"`))))
	_, err := storetest.List(t.Context(), reader, "")
	wantKind(t, "list", err, sdk.Denied, "s3:ListBucket")
	wantKind(t, "put", storetest.Put(t.Context(), reader, "base/a/data/base.tar", []byte("x")), sdk.Denied, "s3:PutObject")
	wantKind(t, "put in parts", storetest.Put(t.Context(), reader, "base/a/data/base.tar", storetest.Random(minPart+1)), sdk.Denied, "s3:PutObject")
	wantKind(t, "delete", reader.Delete(t.Context(), []string{"base/a/backup.info"}), sdk.Denied, "s3:DeleteObject")
	if got, err := storetest.Get(t.Context(), reader, "base/a/backup.info"); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	writer := start(t, configure(b.Restricted(policy(`"s3:PutObject","s3:AbortMultipartUpload"`))))
	_, err = storetest.Get(t.Context(), writer, "base/a/backup.info")
	wantKind(t, "get", err, sdk.Denied, "s3:GetObject")
	// Looking for old uploads needs a permission that is not worth failing for.
	if err := storetest.Put(t.Context(), writer, "base/a/data/base.tar", storetest.Random(minPart+1)); err != nil {
		t.Error(err)
	}
}

// What passes may be anything: the object is stored once, and comes back as it was.
func TestFaultsThatPassAreSurvived(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
	c := configure(b)
	c.ReadTimeout = time.Second
	s := start(t, c)
	small, large := storetest.Random(100_000), storetest.Random(3*minPart+17)
	for what, fault := range map[string]storetest.Fault{
		"500":                          {Times: 2, Does: storetest.Answer(500, "InternalError")},
		"503":                          {Times: 3, Does: storetest.Answer(503, "SlowDown")},
		"a page of a proxy":            {Times: 1, Does: page(502)},
		"reset":                        {Times: 3, Does: storetest.Reset},
		"lost answer to a put":         {Method: http.MethodPut, Times: 2, Does: storetest.LoseAnswer},
		"lost answer to the last part": {Method: http.MethodPost, Skip: 1, Times: 1, Does: storetest.LoseAnswer},
		"lost answer to the first":     {Method: http.MethodPost, Times: 1, Does: storetest.LoseAnswer},
		"damaged on the way there":     {Method: http.MethodPut, Times: 1, Does: storetest.FlipUpload(1000)},
		"half an answer":               {Method: http.MethodGet, Path: "/main/base/", Times: 2, Does: storetest.Cut(50_000)},
		"cut in the middle of a range": {Method: http.MethodGet, Path: "data.tar", Skip: 1, Times: 2, Does: storetest.Cut(3 << 20)},
		"silence":                      {Times: 1, Does: storetest.Wait(time.Minute)},
		"silence in the middle":        {Method: http.MethodGet, Path: "/main/base/", Times: 1, Does: storetest.Stall(60_000)},
	} {
		proxy.Fail(fault)
		for name, content := range map[string][]byte{"base/a/backup.info": small, "base/a/data/base.tar": large} {
			if err := storetest.Put(t.Context(), s, name, content); err != nil {
				t.Errorf("%s: store %s: %v", what, name, err)
				continue
			}
			if got, err := storetest.Get(t.Context(), s, name); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: %s comes back with %d bytes (%v)", what, name, len(got), err)
			}
		}
		if names, err := storetest.List(t.Context(), s, "base/"); err != nil || len(names) != 2 {
			t.Errorf("%s: %q (%v)", what, names, err)
		}
		if err := s.Delete(t.Context(), []string{"base/a/backup.info", "base/a/data/base.tar"}); err != nil {
			t.Errorf("%s: delete: %v", what, err)
		}
		proxy.Heal()
	}
}

// page answers as what stands before a store does.
func page(status int) func(*storetest.Passing) {
	return func(p *storetest.Passing) {
		storetest.Answer(status, "</Code></Error><html>Bad gateway")(p)
	}
}

func TestAStoreThatStaysAwayIsGivenUp(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
	c := configure(b)
	c.Patience = time.Second
	s := start(t, c)
	proxy.Fail(storetest.Fault{Does: storetest.Reset})
	wantKind(t, "put", storetest.Put(t.Context(), s, segment, []byte("x")), sdk.Unavailable, keyOf)
	_, err := storetest.Get(t.Context(), s, segment)
	wantKind(t, "get", err, sdk.Unavailable, keyOf)
	_, err = storetest.List(t.Context(), s, "")
	wantKind(t, "list", err, sdk.Unavailable, b.URL)
}

func TestWhatIsMissingIsNotAskedForAgain(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
	s := start(t, configure(b))
	_, err := storetest.Get(t.Context(), s, segment)
	wantKind(t, "segment", err, sdk.NotFound, segment)
	_, err = storetest.Get(t.Context(), s, "base/a/backup.info")
	wantKind(t, "backup.info", err, sdk.NotFound, "base/a/backup.info")
	if n := len(proxy.Requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestADamagedObjectIsAnError(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
	s := start(t, configure(b))
	for name, size := range map[string]int{"base/a/backup.info": 100_000, "base/a/data/base.tar": 20 << 20} {
		if err := storetest.Put(t.Context(), s, name, storetest.Random(size)); err != nil {
			t.Fatal(err)
		}
		proxy.Fail(storetest.Fault{Method: http.MethodGet, Times: 1, Does: storetest.Flip(50_000)})
		_, err := storetest.Get(t.Context(), s, name)
		wantKind(t, name, err, sdk.Corrupt, "damaged")
		proxy.Heal()
	}
}

func TestAnObjectThatIsReplacedWhileItIsReadIsAnError(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
	s := start(t, configure(b))
	if err := storetest.Put(t.Context(), s, "base/a/data/base.tar", storetest.Random(60<<20)); err != nil {
		t.Fatal(err)
	}
	// MinIO replaces an object once nobody is in the middle of reading it.
	proxy.Fail(storetest.Fault{Method: http.MethodGet, Skip: 2, Times: 1, Does: storetest.Then(func() { b.Put("main/base/a/data.tar", storetest.Random(1000)) })})
	_, r, err := s.Get(t.Context(), "base/a/data/base.tar")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, r)
	wantKind(t, "read", err, sdk.Corrupt, "replaced")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnUploadThatFailsLeavesNothing(t *testing.T) {
	b := storetest.NewS3(t)
	s := start(t, configure(b))
	broken := errors.New("the source broke")
	for what, tc := range map[string]struct {
		fail func(cancel func()) error
		kind sdk.ErrorKind
	}{
		"the source fails": {func(func()) error { return broken }, sdk.Unknown},
		"cancelled":        {func(cancel func()) error { cancel(); return context.Canceled }, sdk.Cancelled},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		r := io.MultiReader(bytes.NewReader(storetest.Random(2*minPart)), failing{func() error { return tc.fail(cancel) }})
		_, err := s.Put(ctx, sdk.Object{Name: "base/a/data/base.tar", Size: sdk.SizeUnknown}, r)
		if err == nil || sdk.KindOf(err) != tc.kind {
			t.Errorf("%s: %v", what, err)
		}
		if keys, uploads := b.Keys(""), b.Uploads(); len(keys)+len(uploads) > 0 {
			t.Errorf("%s: %q and %q are left", what, keys, uploads)
		}
		cancel()
	}
}

type failing struct{ fail func() error }

func (f failing) Read([]byte) (int, error) { return 0, f.fail() }

func TestTwoWritersOfOneNameDoNotOverwriteEachOther(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
	s := start(t, configure(b))
	for _, size := range []int{100, minPart + 100} {
		content, name, key := storetest.Random(size), fmt.Sprintf("base/%d/data/base.tar", size), fmt.Sprintf("main/base/%d/data.tar", size)
		// The other one is quicker by a moment.
		method := http.MethodPut
		skip := 0
		if size > minPart {
			method, skip = http.MethodPost, 1
		}
		proxy.Fail(storetest.Fault{Method: method, Skip: skip, Times: 1, Does: storetest.Then(func() { b.Put(key, []byte("the other")) })})
		wantKind(t, name, storetest.Put(t.Context(), s, name, content), sdk.Exists, key)
		if got := b.Read(key); string(got) != "the other" {
			t.Errorf("%s was overwritten", key)
		}
		proxy.Heal()
	}
	if left := b.Uploads(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestAStoreThatWantsMD5GetsIt(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
	s := start(t, configure(b))
	if err := storetest.Put(t.Context(), s, "base/a/backup.info", []byte("x")); err != nil {
		t.Fatal(err)
	}
	proxy.Fail(storetest.Fault{Method: http.MethodPost, Query: "delete", Times: 1, Does: storetest.Answer(400, "MissingContentMD5")})
	if err := s.Delete(t.Context(), []string{"base/a/backup.info"}); err != nil {
		t.Fatal(err)
	}
	requests := proxy.Requests()
	if last := requests[len(requests)-1]; last.Header.Get("Content-Md5") == "" {
		t.Errorf("%v", last.Header)
	}
	if keys := b.Keys(""); len(keys) > 0 {
		t.Errorf("%q are left", keys)
	}
}

func TestAStoreThatKnowsNoConditionsOrChecksumsIsServedWithout(t *testing.T) {
	for _, size := range []int{100, minPart + 100} {
		b, proxy := storetest.NewProxy(t, storetest.NewS3(t))
		s := start(t, configure(b))
		refuse := func(p *storetest.Passing) {
			for name := range p.Request.Header {
				if name == "If-None-Match" || strings.HasPrefix(name, "X-Amz-Checksum") {
					storetest.Answer(501, "NotImplemented")(p)
					return
				}
			}
		}
		proxy.Fail(storetest.Fault{Method: http.MethodPut, Does: refuse})
		proxy.Fail(storetest.Fault{Method: http.MethodPost, Does: refuse})
		content := storetest.Random(size)
		if err := storetest.Put(t.Context(), s, "base/a/data/base.tar", content); err != nil {
			t.Fatal(err)
		}
		if got, err := storetest.Get(t.Context(), s, "base/a/data/base.tar"); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes come back (%v)", len(got), err)
		}
		wantKind(t, "again", storetest.Put(t.Context(), s, "base/a/data/base.tar", content), sdk.Exists)
		for _, r := range proxy.Requests() {
			if r.Method == http.MethodPut && r.Header.Get("X-Amz-Checksum-Crc32c") == "" && r.Header.Get("X-Amz-Content-Sha256") == "UNSIGNED-PAYLOAD" {
				t.Errorf("nothing protects the bytes of %s %s", r.Method, r.Path)
			}
		}
	}
}

func TestSettingsThatMakeNoSenseAreNotTriedForLong(t *testing.T) {
	c := Config{URL: "s3://bucket", Endpoint: "http://127.0.0.1:1/%zz", AccessKeyID: "a", SecretAccessKey: "b"}
	s, err := open(t.Context(), sdk.Server{Name: "main"}, &c)
	if err == nil {
		_, err = storetest.List(t.Context(), s, "")
	}
	wantKind(t, "list", err, sdk.Invalid)
}

func TestTheRegionIsTakenFromTheStoreUnlessItIsSet(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "/eu-west-3/s3/") {
			_, _ = io.WriteString(w, "<ListBucketResult></ListBucketResult>")
			return
		}
		w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
		w.WriteHeader(http.StatusMovedPermanently)
		_, _ = io.WriteString(w, "<Error><Code>PermanentRedirect</Code></Error>")
	}))
	defer store.Close()
	c := Config{URL: "s3://bucket", Endpoint: store.URL, AccessKeyID: "a", SecretAccessKey: "b"}
	if names, err := storetest.List(t.Context(), start(t, c), ""); err != nil || len(names) > 0 {
		t.Errorf("%q, %v", names, err)
	}
	c.Region = "us-west-2"
	_, err := storetest.List(t.Context(), start(t, c), "")
	wantKind(t, "another region", err, sdk.Invalid, "eu-west-3")
}
