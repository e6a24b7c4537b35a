package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/storetest"
)

// sessions is a store that keeps to Google's description of resumable uploads where
// fake-gcs-server does not: it counts what it has taken, and a chunk need not be taken
// whole, nor its answer arrive.
type sessions struct {
	mu       sync.Mutex
	taken    []byte
	complete bool
	// befall, when set, decides how many bytes of a chunk are taken, and whether its
	// answer is lost.
	befall func(chunk int) (take int, lose bool)
	chunks int
}

func (s *sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch r.Method {
	case http.MethodPost:
		w.Header().Set("Location", "http://"+r.Host+"/session")
		return
	case http.MethodDelete:
		s.taken = nil
		w.WriteHeader(statusCancelled)
		return
	}
	var from, to int64
	var total string
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/%s", &from, &to, &total); err != nil || to-from+1 != int64(len(body)) {
		http.Error(w, "a range that is none", http.StatusBadRequest)
		return
	}
	s.chunks++
	take, lose := len(body), false
	if s.befall != nil {
		take, lose = s.befall(s.chunks)
		take = min(take, len(body))
	}
	have := int64(len(s.taken))
	switch {
	case s.complete:
	case from > have:
		http.Error(w, "a gap", http.StatusBadRequest)
		return
	case from+int64(take) > have:
		s.taken = append(s.taken, body[have-from:take]...)
	}
	if total == fmt.Sprint(len(s.taken)) {
		if r.Header.Get("X-Goog-Hash") != "crc32c="+encodeSum(crc32.Checksum(s.taken, castagnoli)) {
			http.Error(w, "CRC32C does not match", http.StatusBadRequest)
			return
		}
		s.complete = true
	}
	if lose {
		panic(http.ErrAbortHandler)
	}
	if s.complete {
		_, _ = fmt.Fprintf(w, `{"size":"%d","crc32c":"%s","generation":"1"}`, len(s.taken), encodeSum(crc32.Checksum(s.taken, castagnoli)))
		return
	}
	if len(s.taken) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(s.taken)-1))
	}
	w.WriteHeader(statusResume)
}

func TestAnUploadGoesOnWhereTheStoreStopped(t *testing.T) {
	content := storetest.Random(3*partSize + 17)
	for what, befall := range map[string]func(int) (int, bool){
		"everything goes well":                 nil,
		"a part of each chunk is taken":        func(int) (int, bool) { return chunkUnit / 2, false },
		"the answer to every second is lost":   func(chunk int) (int, bool) { return partSize, chunk%2 == 1 },
		"half of a chunk, and no answer":       func(chunk int) (int, bool) { return chunkUnit / 2, chunk%3 == 1 },
		"nothing of a chunk":                   func(chunk int) (int, bool) { return (chunk % 2) * partSize, false },
		"the answer to the last chunk is lost": func(chunk int) (int, bool) { return partSize, chunk == 4 },
	} {
		store := &sessions{befall: befall}
		server := httptest.NewServer(store)
		t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
		s := start(t, Config{URL: "gs://backups", PartSize: partSize})
		if err := storetest.Put(t.Context(), s, "base/a/data/base.tar", content); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !store.complete || !bytes.Equal(store.taken, content) {
			t.Errorf("%s: the store has %d bytes, other ones than were sent", what, len(store.taken))
		}
		server.Close()
	}
}

func TestAnUploadThatTheStoreHasForgottenFails(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "http://"+r.Host+"/session")
			return
		}
		w.WriteHeader(http.StatusGone)
	}))
	defer server.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
	s := start(t, Config{URL: "gs://backups", PartSize: partSize})
	storetest.WantKind(t, "put", storetest.Put(t.Context(), s, "base/a/data/base.tar", storetest.Random(2*partSize)), sdk.NotFound, "forgotten")
}

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		"localhost:4443": "http://localhost:4443", "http://localhost:4443/": "http://localhost:4443", "https://storage.example/base": "https://storage.example/base",
	} {
		if got, err := parseEndpoint(text); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "ftp://host", "http://", "https://user:secret@host", "https://host?key=secret", "://"} {
		if got, err := parseEndpoint(text); sdk.KindOf(err) != sdk.Invalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}
