package delivery

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// waiting is a file in a directory of its own.
func waiting(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, sentAt, sentAt); err != nil {
		t.Fatal(err)
	}
	return path
}

// sendFile opens a file and sends it.
func sendFile(to io.Writer, path string, o Options) error {
	p, err := Open(path, o)
	if err != nil {
		return err
	}
	return errors.Join(p.Send(to), p.Close())
}

func TestWhatIsSentIsRead(t *testing.T) {
	content := bytes.Repeat([]byte("some WAL "), 200_000)
	path := waiting(t, firstWAL, content)
	for _, algorithm := range []Algorithm{SHA256, MD5} {
		for _, name := range append(codec.Names(), "") {
			var stream bytes.Buffer
			if err := sendFile(&stream, path, Options{Algorithm: algorithm, Codec: name}); err != nil {
				t.Fatal(err)
			}
			var got []byte
			var modified time.Time
			listed, err := Read(&stream, func(n wal.Name, at time.Time, content io.Reader) error {
				plain, detected, err := codec.Decoded(content)
				if err != nil {
					return err
				}
				defer plain.Close()
				if name != "" && name != codec.Pigz && detected != name {
					t.Errorf("%s: sent as %q", name, detected)
				}
				modified = at
				got, err = io.ReadAll(plain)
				return err
			})
			if err != nil || !bytes.Equal(got, content) || !modified.Equal(sentAt) || listed.Algorithm != algorithm {
				t.Errorf("%s, %s: %d bytes of %s, %v", algorithm, name, len(got), modified, err)
			}
		}
	}
}

func TestToolsUnderstandADelivery(t *testing.T) {
	path := waiting(t, firstWAL, bytes.Repeat([]byte("some WAL "), 200_000))
	for algorithm, tool := range map[Algorithm]string{SHA256: "sha256sum", MD5: "md5sum"} {
		dir := t.TempDir()
		var stream bytes.Buffer
		if err := sendFile(&stream, path, Options{Algorithm: algorithm}); err != nil {
			t.Fatal(err)
		}
		unpack := exec.Command("sh", "-c", "tar -x && "+tool+" --check --strict "+algorithm.list())
		unpack.Dir, unpack.Stdin = dir, &stream
		if out, err := unpack.CombinedOutput(); err != nil || !strings.Contains(string(out), firstWAL+": OK") {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// written calls a function before the n-th write.
type written struct {
	io.Writer
	n      int
	before func() error
}

func (w *written) Write(p []byte) (int, error) {
	if w.n--; w.n == 0 {
		if err := w.before(); err != nil {
			return 0, err
		}
	}
	return w.Writer.Write(p)
}

func TestAFileThatChangesMeanwhileIsNotSent(t *testing.T) {
	content := bytes.Repeat([]byte("some WAL "), 200_000)
	for name, change := range map[string]func(path string) error{
		"shorter": func(path string) error { return os.Truncate(path, 600_000) },
		"longer":  func(path string) error { return os.WriteFile(path, append(content, 'x'), 0o600) },
		"touched": func(path string) error { return os.Chtimes(path, time.Now(), time.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			path := waiting(t, firstWAL, content)
			var stream bytes.Buffer
			err := sendFile(&written{Writer: &stream, n: 3, before: func() error { return change(path) }}, path, Options{Algorithm: SHA256})
			if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "changed") {
				t.Errorf("error %v", err)
			}
			if _, _, err := read(stream.Bytes()); err == nil {
				t.Error("what was sent is taken")
			}
		})
	}
}

func TestWhatIsNoWALFileIsNotSent(t *testing.T) {
	directory := filepath.Join(t.TempDir(), firstWAL)
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]sdk.ErrorKind{
		directory: sdk.Invalid,
		waiting(t, "postgresql.conf", []byte("x")): sdk.Invalid,
		waiting(t, firstWAL, nil):                  sdk.Invalid,
		filepath.Join(t.TempDir(), secondWAL):      sdk.NotFound,
	} {
		var stream bytes.Buffer
		if err := sendFile(&stream, path, Options{Algorithm: SHA256}); sdk.KindOf(err) != kind || stream.Len() > 0 {
			t.Errorf("%s: %v, %d bytes", path, err, stream.Len())
		}
	}
}

func TestAReceiverThatGoesAwayIsAnError(t *testing.T) {
	path := waiting(t, firstWAL, bytes.Repeat([]byte("some WAL "), 200_000))
	gone := errors.New("gone")
	err := sendFile(&written{Writer: io.Discard, n: 2, before: func() error { return gone }}, path, Options{Algorithm: SHA256})
	if !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}
