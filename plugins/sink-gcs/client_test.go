package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/test/storetest"
)

// serviceAccount writes the key file of a service account that gets its tokens at a
// URL.
func serviceAccount(t *testing.T, tokens string) (file, secret string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	secret = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	content, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "acme", "private_key_id": "1", "private_key": secret,
		"client_email": "barman@acme.iam.gserviceaccount.com", "token_uri": tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, secret
}

func TestAServiceAccountIsLoggedIn(t *testing.T) {
	allowed := true
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !allowed {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`))
			return
		}
		_, _ = w.Write([]byte(`{"access_token":"a-token","token_type":"Bearer","expires_in":3600}`))
	}))
	defer tokens.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "") // the setting changes it
	file, secret := serviceAccount(t, tokens.URL)

	b, proxy := storetest.NewProxy(t, storetest.NewGCS(t))
	c := Config{URL: b.URL, Endpoint: b.Endpoint, Credentials: file, PartSize: partSize}
	s := start(t, c)
	for name, size := range map[string]int{"base/a/backup.info": 100, "base/a/data/base.tar": 2 * partSize} {
		if err := storetest.Put(t.Context(), s, name, storetest.Random(size)); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range proxy.Requests() {
		if got := r.Header.Get("Authorization"); got != "Bearer a-token" {
			t.Errorf("%s %s is sent with the authorization %q", r.Method, r.Path, got)
		}
	}
	allowed = false
	err := storetest.Put(t.Context(), start(t, c), "base/b/backup.info", nil)
	storetest.WantKind(t, "put with a key that was revoked", err, sdk.Denied, "revoked")
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the error shows the key: %v", err)
	}
}
