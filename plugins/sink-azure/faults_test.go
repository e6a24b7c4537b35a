package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/storetest"
)

func TestFaultsThatPassAreSurvived(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewAzure(t))
	c := configure(b)
	c.ReadTimeout = time.Second
	s := start(t, c)
	small, large := storetest.Random(100_000), storetest.Random(3*partSize+17)
	round := 0
	for what, fault := range map[string]storetest.Fault{
		"500":                           {Times: 2, Does: storetest.Answer(500, "InternalError")},
		"503":                           {Times: 3, Does: storetest.Answer(503, "ServerBusy")},
		"reset":                         {Times: 3, Does: storetest.Reset},
		"lost answer to a put":          {Method: http.MethodPut, Times: 2, Does: storetest.LoseAnswer},
		"lost answer to the block list": {Method: http.MethodPut, Path: "data.tar", Skip: 4, Times: 1, Does: storetest.LoseAnswer},
		"damaged on the way there":      {Method: http.MethodPut, Times: 1, Does: storetest.FlipUpload(1000)},
		"half an answer":                {Method: http.MethodGet, Path: "/main/base/", Times: 2, Does: storetest.Cut(50_000)},
		"half a list":                   {Method: http.MethodGet, Query: "restype", Times: 1, Does: storetest.Cut(100)},
		"silence":                       {Times: 1, Does: storetest.Wait(time.Minute)},
		"silence in the middle":         {Method: http.MethodGet, Path: "/main/base/", Times: 1, Does: storetest.Stall(60_000)},
	} {
		proxy.Fail(fault)
		// A request that was given up may still be carried out later, so each round has names
		// of its own.
		round++
		info, data := fmt.Sprintf("base/%d/backup.info", round), fmt.Sprintf("base/%d/data/base.tar", round)
		for name, content := range map[string][]byte{info: small, data: large} {
			if err := storetest.Put(t.Context(), s, name, content); err != nil {
				t.Errorf("%s: store %s: %v", what, name, err)
				continue
			}
			if got, err := storetest.Get(t.Context(), s, name); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: %s comes back with %d bytes (%v)", what, name, len(got), err)
			}
		}
		if names, err := storetest.List(t.Context(), s, fmt.Sprintf("base/%d/", round)); err != nil || len(names) != 2 {
			t.Errorf("%s: %q (%v)", what, names, err)
		}
		if err := s.Delete(t.Context(), []string{info, data}); err != nil {
			t.Errorf("%s: delete: %v", what, err)
		}
		proxy.Heal()
	}
}

func TestAStoreThatStaysAwayIsGivenUp(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewAzure(t).WithSAS("rwdlac", time.Now().Add(time.Hour)))
	c := configure(b)
	c.Patience = time.Second
	s := start(t, c)
	proxy.Fail(storetest.Fault{Does: storetest.Reset})
	for what, err := range map[string]error{
		"put":    storetest.Put(t.Context(), s, segment, []byte("x")),
		"get":    second(storetest.Get(t.Context(), s, segment)),
		"list":   second(storetest.List(t.Context(), s, "")),
		"delete": s.Delete(t.Context(), []string{segment}),
	} {
		storetest.WantKind(t, what, err, sdk.Unavailable, b.URL)
		if err != nil && strings.Contains(err.Error(), "sig=") {
			t.Errorf("%s: the error shows the token: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestWhoMayNotIsTold(t *testing.T) {
	b := storetest.NewAzure(t)
	wrong := configure(b)
	wrong.ConnectionString, wrong.AccountKey = "", "c2VjcmV0LWtleQ=="
	reader := configure(b.WithSAS("rl", time.Now().Add(time.Hour)))
	expired := configure(b.WithSAS("rwdlac", time.Now().Add(-time.Hour)))
	for what, c := range map[string]Config{"account_key": wrong, "sas_token": expired} {
		s := start(t, c)
		storetest.WantKind(t, "list", second(storetest.List(t.Context(), s, "")), sdk.Denied, b.URL, what)
		storetest.WantKind(t, "put", storetest.Put(t.Context(), s, segment, nil), sdk.Denied, b.URL, what)
	}
	s := start(t, reader)
	if _, err := storetest.List(t.Context(), s, ""); err != nil {
		t.Errorf("a token to read and to list: %v", err)
	}
	for what, err := range map[string]error{
		"put": storetest.Put(t.Context(), s, "base/a/backup.info", []byte("x")), "delete": s.Delete(t.Context(), []string{"base/a/backup.info"}),
	} {
		storetest.WantKind(t, what, err, sdk.Denied, "sas_token", "permissions")
		if err != nil && strings.Contains(err.Error(), reader.SASToken.Reveal()) {
			t.Errorf("%s: the error shows the token: %v", what, err)
		}
	}
}

func TestADamagedBlobIsAnError(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewAzure(t))
	s := start(t, configure(b))
	for name, size := range map[string]int{"base/a/backup.info": 100_000, "base/a/data/base.tar": 2*partSize + 1} {
		if err := storetest.Put(t.Context(), s, name, storetest.Random(size)); err != nil {
			t.Fatal(err)
		}
		proxy.Fail(storetest.Fault{Method: http.MethodGet, Times: 1, Does: storetest.Flip(50_000)})
		storetest.WantKind(t, name, second(storetest.Get(t.Context(), s, name)), sdk.Corrupt, "damaged")
		proxy.Heal()
	}
}

func TestABlobThatIsReplacedWhileItIsReadIsAnError(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewAzure(t))
	s := start(t, configure(b))
	if err := storetest.Put(t.Context(), s, "base/a/data/base.tar", storetest.Random(2*partSize)); err != nil {
		t.Fatal(err)
	}
	proxy.Fail(storetest.Fault{Method: http.MethodGet, Times: 1, Does: storetest.Cut(1000)})
	proxy.Fail(storetest.Fault{Method: http.MethodGet, Skip: 1, Times: 1, Does: storetest.Then(func() { b.Put("main/base/a/data.tar", storetest.Random(2*partSize)) })})
	storetest.WantKind(t, "read", second(storetest.Get(t.Context(), s, "base/a/data/base.tar")), sdk.Corrupt, "replaced")
}

func TestAnUploadThatFailsLeavesNothingVisible(t *testing.T) {
	b := storetest.NewAzure(t)
	s := start(t, configure(b))
	broken := errors.New("the source broke")
	for _, replace := range []bool{false, true} {
		r := io.MultiReader(bytes.NewReader(storetest.Random(3*partSize)), failing{broken})
		if _, err := s.Put(t.Context(), sdk.Object{Name: "base/a/data/base.tar", Size: sdk.SizeUnknown, Replace: replace}, r); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		keys := b.Keys("")
		if !replace && len(keys) > 0 || replace && len(keys) != 1 {
			t.Errorf("with replace = %t there are %q", replace, keys)
		}
		// The blob that the next round is to replace; and blocks that are left do not keep
		// it from being stored.
		if !replace {
			if err := storetest.Put(t.Context(), s, "base/a/data/base.tar", storetest.Random(2*partSize)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := b.Read("main/base/a/data.tar"); !bytes.Equal(got, storetest.Random(2*partSize)) {
		t.Errorf("the blob that was to be replaced has %d bytes", len(got))
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestTwoUploadsOfOneNameDoNotMix(t *testing.T) {
	b, proxy := storetest.NewProxy(t, storetest.NewAzure(t))
	s := start(t, configure(b))
	const name, key = "base/a/data/base.tar", "main/base/a/data.tar"
	other := append(storetest.Random(partSize), storetest.Random(2*partSize)...)
	// When the first one has staged its blocks, the other one does all it has to.
	proxy.Fail(storetest.Fault{Method: http.MethodPut, Path: key, Skip: 3, Times: 1, Does: storetest.Then(func() {
		if err := storetest.Put(context.WithoutCancel(t.Context()), start(t, configure(b)), name, other); err != nil {
			t.Errorf("the other one: %v", err)
		}
	})})
	storetest.WantKind(t, "the first one", storetest.Put(t.Context(), s, name, storetest.Random(3*partSize)), sdk.Exists, key)
	if got := b.Read(key); !bytes.Equal(got, other) {
		t.Errorf("what is stored is not what the other one sent")
	}
}
