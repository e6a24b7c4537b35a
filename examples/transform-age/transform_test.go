package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"

	"github.com/barman-go/barman/sdk"
)

var object = sdk.Object{Name: "base/20260102T030405/data/base.tar"}

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func identityFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identities.txt")
	if err := os.WriteFile(path, []byte("# created: today\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newEncryptor(t *testing.T, identityFile string, recipients ...string) *Encryptor {
	t.Helper()
	e, err := New(&Config{Recipients: recipients, IdentityFile: identityFile})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encode(t *testing.T, e *Encryptor, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := e.Encode(t.Context(), object, &out, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode(t *testing.T, e *Encryptor, data []byte) ([]byte, error) {
	t.Helper()
	var out bytes.Buffer
	err := e.Decode(t.Context(), object, &out, bytes.NewReader(data))
	return out.Bytes(), err
}

func TestEveryRecipientCanRestore(t *testing.T) {
	dba, vault, stranger := newIdentity(t), newIdentity(t), newIdentity(t)
	secret := []byte("what the database holds")
	backup := newEncryptor(t, "", dba.Recipient().String(), vault.Recipient().String())
	encrypted := encode(t, backup, secret)
	if bytes.Contains(encrypted, secret) {
		t.Error("the stored bytes hold the secret")
	}
	for name, lines := range map[string][]string{
		"the first":        {dba.String()},
		"the second":       {vault.String()},
		"one among others": {stranger.String(), vault.String()},
	} {
		restore := newEncryptor(t, identityFile(t, lines...), stranger.Recipient().String())
		got, err := decode(t, restore, encrypted)
		if err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s restores %q, error %v", name, got, err)
		}
	}
}

func TestPostQuantumRecipientsWork(t *testing.T) {
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	e := newEncryptor(t, identityFile(t, identity.String()), identity.Recipient().String())
	got, err := decode(t, e, encode(t, e, []byte("x")))
	if err != nil || string(got) != "x" {
		t.Errorf("restored %q, error %v", got, err)
	}
}

func TestWhatIsStoredIsAPlainAgeFile(t *testing.T) {
	identity := newIdentity(t)
	e := newEncryptor(t, identityFile(t, identity.String()), identity.Recipient().String())
	r, err := age.Decrypt(bytes.NewReader(encode(t, e, []byte("there"))), identity)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "there" {
		t.Errorf("age itself reads %q, error %v", got, err)
	}

	var file bytes.Buffer
	w, err := age.Encrypt(&file, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "and back"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := decode(t, e, file.Bytes()); err != nil || string(got) != "and back" {
		t.Errorf("of age's own file, restored %q, error %v", got, err)
	}
}

func TestAnotherIdentityIsDenied(t *testing.T) {
	encrypted := encode(t, newEncryptor(t, "", newIdentity(t).Recipient().String()), []byte("secret"))
	stranger := newIdentity(t)
	_, err := decode(t, newEncryptor(t, identityFile(t, stranger.String()), stranger.Recipient().String()), encrypted)
	if sdk.KindOf(err) != sdk.Denied {
		t.Errorf("kind %s, want denied: %v", sdk.KindOf(err), err)
	}
}

func TestDamagedDataIsCorrupt(t *testing.T) {
	identity := newIdentity(t)
	e := newEncryptor(t, identityFile(t, identity.String()), identity.Recipient().String())
	whole := encode(t, e, bytes.Repeat([]byte("0123456789abcdef"), 10_000))
	header := bytes.Index(whole, []byte("\n---"))

	damaged := map[string][]byte{
		"nothing at all":     {},
		"not age":            []byte("PGDMP and so on, a file that was never encrypted"),
		"bytes added":        append(bytes.Clone(whole), "more"...),
		"the MAC changed":    flip(whole, header+10),
		"the nonce changed":  flip(whole, header+60),
		"the middle changed": flip(whole, len(whole)/2),
		"the end changed":    flip(whole, len(whole)-1),
		"a chunk left out":   append(bytes.Clone(whole[:len(whole)/2]), whole[len(whole)/2+1000:]...),
	}
	for _, cut := range []int{1, 21, 22, header, header + 30, header + 60, len(whole) / 2, len(whole) - 1} {
		damaged[fmt.Sprintf("the first %d of %d bytes", cut, len(whole))] = whole[:cut]
	}
	for name, data := range damaged {
		if _, err := decode(t, e, data); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("%s: kind %s, want corrupt: %v", name, sdk.KindOf(err), err)
		}
	}
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

func TestAFailedReadOrWriteIsNotTakenForDamage(t *testing.T) {
	identity := newIdentity(t)
	e := newEncryptor(t, identityFile(t, identity.String()), identity.Recipient().String())
	whole := encode(t, e, make([]byte, 200_000))
	broken := sdk.Errorf(sdk.Unavailable, "the network is away")

	for name, src := range map[string]io.Reader{
		"at once":         iotest.ErrReader(broken),
		"in the header":   io.MultiReader(bytes.NewReader(whole[:50]), iotest.ErrReader(broken)),
		"in the contents": io.MultiReader(bytes.NewReader(whole[:100_000]), iotest.ErrReader(broken)),
	} {
		if err := e.Decode(t.Context(), object, io.Discard, src); !errors.Is(err, broken) || sdk.KindOf(err) != sdk.Unavailable {
			t.Errorf("a read fails %s: %v", name, err)
		}
	}
	if err := e.Decode(t.Context(), object, &brokenWriter{broken, 0}, bytes.NewReader(whole)); !errors.Is(err, broken) {
		t.Errorf("a write fails: %v", err)
	}
}

// brokenWriter takes some bytes and then fails.
type brokenWriter struct {
	err  error
	room int
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if len(p) > w.room {
		return 0, w.err
	}
	w.room -= len(p)
	return len(p), nil
}

func TestAnEncryptionThatFailsLeavesNothingThatDecrypts(t *testing.T) {
	identity := newIdentity(t)
	e := newEncryptor(t, identityFile(t, identity.String()), identity.Recipient().String())
	broken := errors.New("the disk is away")
	var half bytes.Buffer
	src := io.MultiReader(bytes.NewReader(make([]byte, 100_000)), iotest.ErrReader(broken))
	if err := e.Encode(t.Context(), object, &half, src); !errors.Is(err, broken) {
		t.Errorf("a read fails: %v", err)
	}
	if _, err := decode(t, e, half.Bytes()); sdk.KindOf(err) != sdk.Corrupt {
		t.Errorf("what was written until then is of kind %s, want corrupt: %v", sdk.KindOf(err), err)
	}
	for _, room := range []int{0, 150, 70_000} {
		if err := e.Encode(t.Context(), object, &brokenWriter{broken, room}, bytes.NewReader(make([]byte, 100_000))); !errors.Is(err, broken) {
			t.Errorf("a write fails after %d bytes: %v", room, err)
		}
	}
}

func TestABadIdentityFileSaysWhatToDo(t *testing.T) {
	identity := newIdentity(t)
	recipient := identity.Recipient().String()
	encrypted := encode(t, newEncryptor(t, "", recipient), []byte("x"))
	for _, tc := range []struct {
		name, path string
		kind       sdk.ErrorKind
		says       string
	}{
		{"none", "", sdk.Invalid, "identity_file"},
		{"one that is missing", filepath.Join(t.TempDir(), "gone"), sdk.NotFound, "gone"},
		{"a directory", t.TempDir(), sdk.Invalid, "identity file"},
		{"an empty one", identityFile(t), sdk.Invalid, "no identities"},
		{"one with a public key", identityFile(t, recipient), sdk.Invalid, "line 2"},
	} {
		_, err := decode(t, newEncryptor(t, tc.path, recipient), encrypted)
		if sdk.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), object.Name) {
			t.Errorf("%s: kind %s, want %s: %v", tc.name, sdk.KindOf(err), tc.kind, err)
		}
	}
}
